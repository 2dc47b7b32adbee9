"""Speed, memory and forgetting, each measured beside other people's code and beside the limit."""

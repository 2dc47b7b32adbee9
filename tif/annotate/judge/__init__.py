"""The LLM judge: what it is asked, how it is reached, and how its replies become spans."""

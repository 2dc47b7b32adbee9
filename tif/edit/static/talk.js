// Talks to the server, and shows whether each edit is on disk.

const $ = (id) => document.getElementById(id);

// Returns the answer to a request, and retries until there is one. An edit of an old state is not an error: it returns
// `conflict`. Throws if the server refuses the request.
export async function ask(path, body) {
  const post = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const writes = Boolean(body);
  if (writes) state("saving", "Saving…");
  for (let pause = 500; ; pause = Math.min(2 * pause, 5000)) {
    let answer = null;
    try {
      answer = await fetch(path, post || undefined);
    } catch {
      state("failed", "Not saved");
      notice("The server does not answer. If it was stopped, start tif spans edit again and open its new address. "
        + "Every edit shown as saved is kept. Trying again…");
      await new Promise((done) => setTimeout(done, pause));
      continue;
    }
    const result = await answer.json();
    if (answer.status === 409) return { conflict: result };
    if (!answer.ok) {
      if (writes || answer.status === 403) state("failed", "Not saved");
      throw new Error(result.error);
    }
    if (writes) state("saved", "Saved");
    else if ($("saved").dataset.state === "failed") state("saved", "Saved");
    notice("");
    return result;
  }
}

export function state(name, words) {
  $("saved").dataset.state = name;
  $("saved").textContent = words;
}

export function notice(words) {
  $("notice").textContent = words;
  $("notice").hidden = !words;
}

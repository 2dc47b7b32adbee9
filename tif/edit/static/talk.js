// Talks to the server, and tells whether what was done is on the disk.

const $ = (id) => document.getElementById(id);

// The answer to a request; tries again until there is one. An edit that was made on an old state is no error: it comes
// back as `conflict`. Throws what the server refuses.
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
      notice("The server does not answer. If it was stopped, start tif spans edit again and open its new address; "
        + "all that was shown as saved is there. Trying again…");
      await new Promise((done) => setTimeout(done, pause));
      continue;
    }
    const told = await answer.json();
    if (answer.status === 409) return { conflict: told };
    if (!answer.ok) {
      if (writes || answer.status === 403) state("failed", "Not saved");
      throw new Error(told.error);
    }
    if (writes) state("saved", "Saved");
    else if ($("saved").dataset.state === "failed") state("saved", "Saved");
    notice("");
    return told;
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

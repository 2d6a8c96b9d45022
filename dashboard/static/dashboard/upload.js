/* Sends a file in pieces to the API of images, says how far it is, and goes on where it broke off. */
(() => {
  "use strict";
  const PIECE_BYTES = 8 * 1024 * 1024, MOST_TRIES = 8, LONGEST_WAIT_MS = 15000, IS_THERE = -1;
  const form = document.getElementById("upload");
  if (!form) return;
  const address = form.dataset.content, page = form.dataset.page;
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const file = document.getElementById("upload-file"), bar = document.getElementById("upload-bar");
  const said = document.getElementById("upload-said"), buttons = form.querySelectorAll("button");

  const shown = (bytes) => bytes >= 2 ** 30 ? (bytes / 2 ** 30).toFixed(2) + " GiB" : (bytes / 2 ** 20).toFixed(1) + " MiB";
  const say = (text) => { said.textContent = text; };
  const wait = (tries) => new Promise((done) => window.setTimeout(done, Math.min(500 * 2 ** tries, LONGEST_WAIT_MS)));

  function draw(bytes, whole, since) {
    bar.max = whole;
    bar.value = bytes;
    const seconds = (Date.now() - since.at) / 1000, rate = (bytes - since.bytes) / seconds;
    const left = rate > 0 && seconds > 2 ? ", " + Math.ceil((whole - bytes) / rate) + " s left" : "";
    say(shown(bytes) + " of " + shown(whole) + " (" + Math.floor(100 * bytes / whole) + " %)" + left);
  }

  /* One request: its status, headers and body; status 0 where there was no answer. */
  function ask(method, body, headers, onProgress) {
    return new Promise((done) => {
      const request = new XMLHttpRequest();
      request.open(method, address);
      request.setRequestHeader("X-CSRFToken", token);
      for (const [name, value] of Object.entries(headers || {})) request.setRequestHeader(name, value);
      if (onProgress) request.upload.addEventListener("progress", (event) => onProgress(event.loaded));
      request.addEventListener("loadend", () => {
        let answer = {};
        try { answer = JSON.parse(request.responseText); } catch { /* HEAD, or no answer */ }
        done({ status: request.status, answer, header: (name) => request.getResponseHeader(name) });
      });
      request.send(body || null);
    });
  }

  const isPassing = (status) => status === 0 || status === 429 || status >= 500;

  async function whereToGoOn(whole) {
    const head = await ask("HEAD");
    if (isPassing(head.status)) return null;
    if (head.status !== 200) throw new Error("The upload is refused (" + head.status + "): is the image still there?");
    if (head.header("ETag")) return IS_THERE;  // the last piece came through, and its answer did not
    const offset = Number(head.header("Upload-Offset") || 0), announced = head.header("Upload-Length");
    if (offset <= whole && (announced === null || Number(announced) === whole)) return offset;
    await ask("DELETE");  // of another file
    return 0;
  }

  async function send(chosen) {
    const whole = chosen.size;
    let tries = 0, offset = null, since = null;
    for (;;) {
      if (tries > MOST_TRIES) throw new Error("The server cannot be reached. Choose the same file again later: it goes on from here.");
      if (offset === null) {
        offset = await whereToGoOn(whole);
        if (offset === null) { await wait(tries); tries += 1; continue; }
        if (offset === IS_THERE) return;
        since = since || { at: Date.now(), bytes: offset };
      }
      const piece = chosen.slice(offset, offset + PIECE_BYTES), start = offset;
      if (start + piece.size === whole) say("The last piece; then the file is inspected …");
      const headers = { "Content-Type": "application/octet-stream", "Upload-Offset": String(start), "Upload-Length": String(whole) };
      const { status, answer } = await ask("PUT", piece, headers, (sent) => draw(start + sent, whole, since));
      if (status === 200) return;
      if (status === 202) { offset += piece.size; tries = 0; continue; }
      if (isPassing(status) || (status === 409 && ["image.offset", "image.busy"].includes(answer.code))) {
        say("Broken off; trying again …");
        offset = null;
        await wait(tries);
        tries += 1;
        continue;
      }
      throw new Error((answer.detail || "The upload failed.") + " (" + (answer.code || status) + ")");
    }
  }

  const leaving = (event) => event.preventDefault();

  /* Whether it went well. */
  async function run(work) {
    for (const button of buttons) button.disabled = true;
    window.addEventListener("beforeunload", leaving);
    said.className = "";
    try {
      await work();
      return true;
    } catch (error) {
      said.className = "errornote";
      say(error.message);
      return false;
    } finally {
      window.removeEventListener("beforeunload", leaving);
      for (const button of buttons) button.disabled = false;
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = file.files[0];
    if (chosen && await run(() => send(chosen))) window.location.assign(page);
  });
  document.getElementById("upload-over").addEventListener("click", () => run(async () => {
    await ask("DELETE");
    bar.value = 0;
    say("What had come is gone; the upload starts over.");
  }));
})();

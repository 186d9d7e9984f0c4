// Keys: the form that asks for one, who one is, and for admins the list of them.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { call, isAbort, post, Refusal, sentence } from "./api.js";
import { moment } from "./runs.js";
import { copied, notify, sent, typed } from "./ui.js";

/**
 * @typedef {import("./main.js").Session} Session
 * @typedef {"read" | "write" | "admin"} Scope
 * @typedef {{id: string, name: string, scope: Scope, created_at: string, revoked_at: string | null}} Key
 */

const MAY = /** @type {Record<Scope, string>} */ ({
  read: "search",
  write: "search, add and change pictures",
  admin: "everything, keys too",
});
const SCOPES = /** @type {Scope[]} */ (["read", "write", "admin"]);
const WRONG = "This key is wrong, or works no longer.";
const SURE_MS = 6000; // after which "Really revoke" is "Revoke" again

/** Stands in the page's place where a key is needed; the key goes into a cookie that no script reads.
 * @param {{onDone: () => void}} props */
export function KeyForm({ onDone }) {
  const [key, setKey] = useState("");
  const [said, setSaid] = useState("");
  const [busy, setBusy] = useState(false);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => input.current?.focus(), []);
  const use = sent(async () => {
    if (busy) return;
    setBusy(true);
    setSaid("");
    try {
      await post("v1/session", { key: key.trim() });
      setKey("");
      onDone();
    } catch (problem) {
      if (isAbort(problem)) return;
      setSaid(problem instanceof Refusal && problem.status === 401 ? WRONG : sentence(problem));
      input.current?.select();
    } finally {
      setBusy(false);
    }
  });
  return html`<main class="locked"><form class="key-form" method="post" onSubmit=${use}>
    <h1>segsearch</h1>
    <p>This library is opened by a key.</p>
    <input class="visually-hidden" type="text" name="username" autocomplete="username" value="segsearch"
      tabindex="-1" aria-hidden="true" readonly />
    <label class="field">Key
      <input ref=${input} type="password" name="key" autocomplete="current-password" required maxlength="1000"
        value=${key} aria-invalid=${String(Boolean(said))} aria-describedby="key-said"
        onInput=${typed(setKey)} /></label>
    <p id="key-said" class="bad" role="alert">${said}</p>
    <button type="submit" class="main" disabled=${busy}>${busy ? "One moment …" : "Use this key"}</button>
    <p class="quiet">Who runs this server makes one with <code>segsearch keys create NAME</code>. It is
      forgotten when the browser is closed.</p>
  </form></main>`;
}

/** Who one is. @param {{session: Session, onSession: () => void}} props */
export function OwnKey({ session: { needs_key: needed, scope, key }, onSession }) {
  const may = scope ? MAY[scope] : "nothing";
  const forget = async () => {
    try {
      await call("v1/session", { method: "DELETE" });
    } catch (problem) {
      notify(sentence(problem), { bad: true });
    }
    onSession();
  };
  if (!key) {
    return html`<p>${
      needed ? `You may ${may}.` : `No key is needed here: whoever reaches this server may do ${MAY.admin}.`
    }</p>`;
  }
  return html`<p>You use the key <b>${key}</b>, which may ${scope === "admin" ? "do " : ""}${may}.</p>
    <p><button type="button" onClick=${forget}>Forget the key</button></p>`;
}

/** A button that asks once more by itself. @param {{name: string, act: () => void}} props */
function Revoke({ name, act }) {
  const [sure, setSure] = useState(false);
  useEffect(() => {
    if (!sure) return undefined;
    const timer = setTimeout(() => setSure(false), SURE_MS);
    return () => clearTimeout(timer);
  }, [sure]);
  const text = sure ? "Really revoke" : "Revoke";
  return html`<button type="button" class=${sure ? "revoke sure" : "revoke"} aria-label=${`${text} ${name}`}
    onBlur=${() => setSure(false)} onClick=${() => (sure ? act() : setSure(true))}>${text}</button>`;
}

/**
 * A key that was just made: its text is shown this once.
 * @param {{made: {name: string, key: string}, close: () => void}} props
 */
function Made({ made, close }) {
  const text = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [done, setDone] = useState(false);
  useEffect(() => text.current?.select(), []);
  const copy = async () => {
    text.current?.select();
    if (await copied(made.key)) setDone(true);
    else notify("Copy it by hand: it is selected.", { bad: true });
  };
  return html`<div class="made" role="group" aria-label=${`The key ${made.name}`}>
    <p><b>${made.name}</b> was made. Copy the key now: it is not shown again.</p>
    <div class="inline">
      <label class="field">The key<input ref=${text} class="secret" readonly value=${made.key}
        spellcheck=${false} autocomplete="off" /></label>
      <button type="button" class="main" onClick=${copy}>${done ? "Copied" : "Copy"}</button>
      <button type="button" onClick=${close}>I have it</button></div>
  </div>`;
}

/** The list of keys, to make and to revoke them. @param {{session: Session, onSession: () => void}} props */
export function Keys({ session, onSession }) {
  const [keys, setKeys] = useState(/** @type {Key[]} */ ([]));
  const [name, setName] = useState("");
  const [scope, setScope] = useState(/** @type {Scope} */ ("read"));
  const [made, setMade] = useState(/** @type {{name: string, key: string} | null} */ (null));
  const [problem, setProblem] = useState("");
  const load = () =>
    call("v1/keys").then(
      (answer) => setKeys(answer.keys),
      (wrong) => setProblem(sentence(wrong)),
    );
  useEffect(() => void load(), []);
  const act = async (/** @type {() => Promise<void>} */ what) => {
    setProblem("");
    try {
      await what();
      await load();
    } catch (wrong) {
      setProblem(sentence(wrong));
    }
  };
  const make = sent(() =>
    act(async () => {
      setMade(await post("v1/keys", { name: name.trim(), scope }));
      setName("");
    }),
  );
  const revoke = (/** @type {Key} */ key) =>
    act(async () => {
      await call(`v1/keys/${key.id}`, { method: "DELETE" });
      notify(`The key “${key.name}” works no longer.`);
      if (key.name === session.key) onSession();
    });
  const working = keys.filter((key) => !key.revoked_at),
    revoked = keys.filter((key) => key.revoked_at);
  const may = (/** @type {Key} */ { scope: one }) => `may ${one === "admin" ? "do " : ""}${MAY[one]}`;
  const none = session.needs_key ? "." : "; they are asked for once the server is open to other machines.";
  return html`
    ${
      working.length
        ? html`<ul class="plain rows keys">${working.map(
            (key) => html`<li key=${key.id}>
      <p><b>${key.name}</b>${key.name === session.key ? " (this one)" : ""} <span class="quiet">${may(
        key,
      )} · made ${moment(key.created_at)}</span></p>
      <${Revoke} name=${key.name} act=${() => revoke(key)} /></li>`,
          )}</ul>`
        : html`<p class="quiet">No key was made yet${none}</p>`
    }
    ${made ? html`<${Made} key=${made.key} made=${made} close=${() => setMade(null)} />` : null}
    <form class="inline" onSubmit=${make}>
      <label class="field">A new key for
        <input value=${name} required maxlength="64" placeholder="laptop" autocomplete="off"
          onInput=${typed(setName)} /></label>
      <label class="field">May
        <select value=${scope} onChange=${typed((value) => setScope(/** @type {Scope} */ (value)))}>
          ${SCOPES.map(
            (one) =>
              html`<option key=${one} value=${one} selected=${one === scope}>${
                one === "admin" ? "do everything, keys too" : MAY[one]
              }</option>`,
          )}</select></label>
      <button type="submit">Make it</button>
    </form>
    ${problem ? html`<p class="bad" role="alert">${problem}</p>` : null}
    ${
      revoked.length
        ? html`<details><summary>Revoked</summary><ul class="plain">${revoked.map(
            (key) => html`
      <li class="quiet" key=${key.id}>${key.name}, revoked ${moment(key.revoked_at)}</li>`,
          )}</ul></details>`
        : null
    }`;
}

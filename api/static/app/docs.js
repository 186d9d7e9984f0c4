// A reference of the API drawn from openapi.json; the usual viewers load their scripts from elsewhere.

/**
 * An element with text and children; text is never markup.
 * @param {string} name
 * @param {string | null} [text]
 * @param {...(Node | string)} children
 */
const made = (name, text, ...children) => {
  const node = document.createElement(name);
  if (text !== undefined && text !== null) node.textContent = text;
  node.append(...children);
  return node;
};

/** What a reference leads to. @param {any} described @param {any} [schema] */
const resolve = (described, schema = {}) =>
  schema.$ref
    ? schema.$ref
        .slice(2)
        .split("/")
        .reduce((/** @type {any} */ at, /** @type {string} */ key) => at[key], described)
    : schema;

/** A schema in a word or two. @param {any} [schema] @returns {string} */
function kind(schema = {}) {
  if (schema.anyOf) return schema.anyOf.map(kind).join(" or ");
  const low = schema.minimum,
    high = schema.maximum > 2 ** 53 ? undefined : schema.maximum;
  const range = [low === undefined ? "" : `from ${low}`, high === undefined ? "" : `to ${high}`]
    .join(" ")
    .trim();
  return [schema.format || schema.type || schema.$ref?.split("/").pop() || "", range]
    .filter(Boolean)
    .join(", ");
}

/** @param {string[][]} rows */
function table(rows) {
  const head = made("tr", null, ...["name", "kind", "default", "meaning"].map((text) => made("th", text)));
  return made(
    "table",
    null,
    head,
    ...rows.map((row) => made("tr", null, ...row.map((text) => made("td", text)))),
  );
}

/** @param {unknown} one */
const value = (one) => (one === undefined || one === null ? "" : JSON.stringify(one));
/** @param {unknown} example */
const block = (example) => made("pre", JSON.stringify(example, null, 2));

/** @param {any} document @param {any} body */
function bodyOf(document, body) {
  return Object.entries(body.content).flatMap(([type, { schema, examples = {} }]) => {
    const found = resolve(document, schema);
    const rows = Object.entries(found.properties || {}).map(([name, one]) => [
      name,
      kind(one),
      value(one.default),
      one.description || "",
    ]);
    return [made("h3", type), table(rows), ...Object.values(examples).map((one) => block(one.value))];
  });
}

/** @param {any} document @param {[string, any]} answer */
function answerOf(document, [status, { description, content = {} }]) {
  const node = made(
    "details",
    null,
    made("summary", null, made("code", status), made("span", ` ${description}`)),
  );
  for (const [type, { schema, examples }] of Object.entries(content)) {
    const shown = Object.values(examples || {}).map((one) => one.value);
    const fromSchema = resolve(document, schema).examples || [];
    node.append(made("h3", type), ...[...shown, ...fromSchema].map(block));
  }
  return node;
}

/** @param {any} document @param {string} path @param {string} method @param {any} found */
function operation(document, path, method, found) {
  const [first, ...rest] = (found.description || "").split("\n\n");
  const verb = made("span", method.toUpperCase());
  verb.className = "method";
  const summary = made("summary", null, verb, " ", made("code", path), " ", made("span", first));
  const node = made("details", null, summary);
  node.id = found.operationId;
  if (rest.length) node.append(made("p", rest.join("\n\n").replaceAll("`", "")));
  const rows = (found.parameters || []).map((/** @type {any} */ { name, schema, description }) => [
    name,
    kind(schema),
    value(schema.default),
    description || "",
  ]);
  if (rows.length) node.append(made("h3", "Parameters"), table(rows));
  if (found.requestBody) node.append(...bodyOf(document, found.requestBody));
  node.append(
    made("h3", "Answers"),
    ...Object.entries(found.responses).map((one) => answerOf(document, one)),
  );
  return node;
}

async function render() {
  const answer = await fetch("openapi.json");
  const described = await answer.json();
  if (!answer.ok) return says(described.detail);
  const all = Object.entries(described.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, found]) => ({ path, method, found })),
  );
  const parts = described.tags.flatMap((/** @type {any} */ tag) => [
    made("h2", tag.name),
    made("p", tag.description),
    ...all
      .filter(({ found }) => found.tags.includes(tag.name))
      .map((one) => operation(described, one.path, one.method, one.found)),
  ]);
  const prose = made("p", described.info.description.replaceAll("`", ""));
  document.getElementById("operations")?.replaceChildren(prose, ...parts);
}

/** @param {string} sentence */
function says(sentence) {
  const message = document.getElementById("message");
  if (message) message.textContent = sentence;
}

render().catch(() => says("The server does not answer."));

// What stands beside the open picture: the chosen region and what can be done with it, the picture's
// names, tags and collections, and pictures that look almost the same.

import { html, useEffect, useState } from "../vendor/preact.js";
import { asks, empty } from "./address.js";
import { call, isAbort, post, sentence, thumbnail } from "./api.js";
import { collect } from "./arranging.js";
import { saveCut } from "./cutting.js";
import { libraryChanged, useFacets } from "./facets.js";
import { actsOf } from "./likeness.js";
import { day, nameOf, share, size } from "./sayings.js";
import { openPicture, query } from "./store.js";
import { Go, Icon, IconButton, Menu, notify, sent, typed as hear } from "./ui.js";
import { KINDS, linesOf, Words } from "./words.js";

/**
 * @typedef {import("./items.js").Region & {sure: string}} Answer a region that answers, and how surely
 * @typedef {import("./words.js").Reading & {lines: import("./items.js").Line[]}} Read the picture's text
 */

/** What a fresh mask can be saved as. @type {[string, "cutout" | "mask" | "svg" | "coco"][]} */
const CUT_FILES = [
  ["Cutout", "cutout"],
  ["Mask", "mask"],
  ["SVG", "svg"],
  ["COCO", "coco"],
];
/** A file's name without its ending, as the server begins those of downloads. */
const stem = (/** @type {string} */ name) => name.replace(/\.pdf, page /i, "-page-").replace(/\.[^.]*$/, "");
/** A page of a PDF, by its path. */
const PAGE = /^(.*\.pdf#page=)(\d+)$/is;
/** The day after one. */
const nextDay = (/** @type {string} */ iso) =>
  new Date(Date.parse(`${iso.slice(0, 10)}T12:00:00Z`) + 86_400_000).toISOString().slice(0, 10);

/** What everyday words a region fits. @param {{chosen: any, image: number}} props */
function LooksLike({ chosen, image }) {
  const [words, setWords] = useState(/** @type {{text: string}[] | null} */ (null));
  const key = chosen.segment_id ?? JSON.stringify(chosen.prompt);
  useEffect(() => {
    const stop = new AbortController(),
      options = { signal: stop.signal };
    setWords(null);
    const { points, labels, box, candidate } = chosen.prompt ?? {};
    const found = chosen.segment_id
      ? call(`v1/segments/${chosen.segment_id}/words?limit=3`, options)
      : post(
          "v1/words",
          {
            region: {
              image_id: image,
              ...(points.length ? { points, labels } : {}),
              ...(box ? { box } : {}),
              candidate,
            },
            limit: 3,
          },
          options,
        );
    found.then(
      ({ words: some }) => setWords(some),
      (problem) => {
        if (!isAbort(problem)) setWords([]);
      },
    );
    return () => stop.abort();
  }, [key]);
  if (words && !words.length) return null;
  return html`<p class="looks">Looks like ${
    words
      ? words.map(
          ({ text }, i) =>
            html`${i ? ", " : ""}<${Go} key=${text} to=${{ ...empty(), words: text }}>${text}<//>`,
        )
      : "…"
  }</p>`;
}

/** Another picture in place of this one.
 * @param {{id: number, children?: any, [attribute: string]: any}} props */
const Open = ({ id, children, ...attributes }) =>
  html`<${Go} to=${{ ...query(), image: id, segment: 0 }} act=${() => openPicture(id)} ...${attributes}>${children}<//>`;

/** The pages before and after a page of a PDF, as far as they are there. @param {{image: any}} props */
function Pages({ image }) {
  const [near, setNear] = useState(/** @type {{page: number, id: number}[]} */ ([]));
  const [, file, number] = PAGE.exec(image.paths[0] ?? "") ?? [];
  useEffect(() => {
    setNear([]);
    if (!file) return undefined;
    const stop = new AbortController();
    const pages = [Number(number) - 1, Number(number) + 1];
    const paths = pages.map((page) => `${file}${page}`.replace(/[*?[]/g, "[$&]")); // globs
    post("v1/browse", { filters: { paths }, limit: 20 }, { signal: stop.signal }).then(
      ({ images }) =>
        setNear(
          pages.flatMap((page) => {
            const found = images.find((/** @type {any} */ one) => one.paths.includes(`${file}${page}`));
            return found ? [{ page, id: found.image_id }] : [];
          }),
        ),
      () => {}, // without them there is still the grid
    );
    return () => stop.abort();
  }, [image.image_id]);
  return near.length
    ? html`<nav class="pages" aria-label="Pages">${near.map(
        ({ page, id }) => html`<${Open} key=${page} id=${id} class="button">
        <${Icon} name=${page < Number(number) ? "before" : "after"} />Page ${page}<//>`,
      )}</nav>`
    : null;
}

/** @param {{chosen: any, image: any, hit: Answer | null, read: Read}} props */
function ChosenRegion({ chosen, image, hit, read }) {
  const acts = actsOf(image.image_id, chosen),
    now = query();
  const [x0, y0, x1, y1] = chosen.box,
    id = chosen.segment_id;
  const sure = hit?.sure,
    lines = linesOf(read.lines, id),
    title = id ? (KINDS[chosen.kind] ?? "This region") : "What you cut out",
    heading = html`<h3>${title}${sure ? html` <span class="sure">${sure}</span>` : null}</h3>`;
  return html`<section id="region" aria-label="This region">
    ${lines.length ? html`<${Words} ...${read} lines=${lines} label="its text" title=${heading} />` : heading}
    ${lines.length && chosen.kind !== "thing" ? null : html`<${LooksLike} chosen=${chosen} image=${image.image_id} />`}
    ${chosen.captions?.length ? html`<p class="caption">${chosen.captions[0].text}</p>` : null}
    <div class="buttons">
      <button type="button" class="main" title="f" onClick=${acts.like}><${Icon} name="like" />Find its like</button>
      <button type="button" title="a" onClick=${acts.add}><${Icon} name="plus" />Add to the query</button>
      ${asks(now) ? html`<button type="button" title="n" onClick=${acts.not}><${Icon} name="minus" />Not this</button>` : null}
    </div>
    <p class="quiet">${(x1 - x0).toLocaleString("en")} × ${(y1 - y0).toLocaleString("en")} px, ${share(chosen.area / (image.width * image.height))} of the picture</p>
    ${
      id
        ? html`<p class="downloads">${[
            ["Cutout", `v1/segments/${id}/cutout.png`, "cutout.png"],
            ["Mask", `v1/segments/${id}/mask?format=png`, "mask.png"],
            ["Crop", `v1/segments/${id}/crop.png`, "crop.png"],
            ["SVG", `v1/segments/${id}/mask?format=svg`, "mask.svg"],
            ["COCO", `v1/segments/${id}/mask?format=rle`, "mask.json"],
          ].map(
            ([name, path, ending]) =>
              html`<a key=${name} href=${path} download=${`${stem(nameOf(image.paths[0]))}-${id}-${ending}`}>${name}</a>`,
          )}</p>`
        : html`<p class="downloads">${CUT_FILES.map(
            ([name, kind]) =>
              html`<button type="button" class="link" key=${kind} onClick=${() =>
                saveCut(chosen, image, kind, stem(nameOf(image.paths[0]))).catch((problem) =>
                  notify(sentence(problem), { bad: true }),
                )}>${name}</button>`,
          )}</p>`
    }
    <details><summary>Details</summary><dl>
      ${hit?.score !== undefined ? html`<dt>Score</dt><dd>${hit.score.toFixed(3)}</dd>` : null}
      ${hit?.relevance !== null && hit?.relevance !== undefined ? html`<dt>Relevance</dt><dd>${Math.round(100 * hit.relevance)} %</dd>` : null}
      <dt>Box</dt><dd>${chosen.box.join(", ")}</dd>
      <dt>Predicted IoU</dt><dd>${chosen.predicted_iou.toFixed(2)}</dd>
      ${chosen.stability === undefined ? null : html`<dt>Stability</dt><dd>${chosen.stability.toFixed(2)}</dd>`}
      ${id ? html`<dt>Number</dt><dd>${id}</dd>` : null}
    </dl></details>
  </section>`;
}

/** @param {{image: any, mayWrite: boolean, onImage: (image: any) => void}} props */
function Tags({ image, mayWrite, onImage }) {
  const [typed, setTyped] = useState("");
  const set = async (/** @type {{add?: string[], remove?: string[]}} */ what) => {
    try {
      onImage(await post(`v1/images/${image.image_id}/tags`, what));
      libraryChanged();
    } catch (problem) {
      notify(sentence(problem), { bad: true });
    }
  };
  const add = sent(() => {
    const tags = typed
      .split(",")
      .map((tag) => tag.trim())
      .filter(Boolean);
    setTyped("");
    if (tags.length) void set({ add: tags });
  });
  if (!mayWrite && !image.tags.length) return null;
  return html`<div class="tags">
    ${image.tags.map(
      (/** @type {string} */ tag) =>
        html`<span class="term" key=${tag}><span>#${tag}</span>${
          mayWrite
            ? html`<button type="button" class="remove"
      aria-label=${`Remove the tag ${tag}`} onClick=${() => set({ remove: [tag] })}><${Icon} name="close" /></button>`
            : null
        }</span>`,
    )}
    ${
      mayWrite
        ? html`<form class="inline" onSubmit=${add}><input value=${typed} aria-label="Add a tag" placeholder="Add a tag" maxlength="100"
      onInput=${hear(setTyped)} /></form>`
        : null
    }
  </div>`;
}

/** Put a picture into a collection. @param {{image: number}} props */
function Collect({ image }) {
  const { collections } = useFacets();
  const put = (/** @type {string} */ name, /** @type {() => void} */ close) => {
    close();
    if (name) void collect([image], name);
  };
  return html`<${Menu} label="Collect" title="Put it into a collection">${(
    /** @type {() => void} */ close,
  ) => html`
    <ul class="plain options">${collections.map(({ name }) => html`<li key=${name}><button type="button" class="link" onClick=${() => put(name, close)}>${name}</button></li>`)}</ul>
    <form class="inline" onSubmit=${(/** @type {any} */ event) => {
      event.preventDefault();
      put(event.target.elements.collection.value.trim(), close);
    }}><input name="collection" required maxlength="100" placeholder="A new collection" aria-label="A new collection" /><button type="submit">Add</button></form>`}<//>`;
}

/** @param {{image: any}} props */
function Facts({ image }) {
  const near = image.latitude !== null && image.longitude !== null;
  const found = (/** @type {Partial<import("./address.js").Filters>} */ filters) => ({ ...empty(), filters });
  const to = (/** @type {import("./address.js").Query} */ target, /** @type {string} */ text) =>
    html`<${Go} to=${target}>${text}<//>`;
  return html`<dl>
    ${image.taken_at ? html`<dt>Taken</dt><dd>${to(found({ taken_after: image.taken_at.slice(0, 10), taken_before: nextDay(image.taken_at) }), day(image.taken_at))}, ${image.taken_at.slice(11, 16)}</dd>` : null}
    ${image.albums.length ? html`<dt>Album</dt><dd>${image.albums.map((/** @type {string} */ album, /** @type {number} */ i) => html`${i ? ", " : ""}${to(found({ albums: [album] }), album)}`)}</dd>` : null}
    ${image.camera ? html`<dt>Camera</dt><dd>${to(found({ cameras: [image.camera] }), image.camera)}${image.lens ? html`<br /><span class="quiet">${image.lens}</span>` : null}</dd>` : null}
    ${near ? html`<dt>Place</dt><dd>${to(found({ near: [image.latitude, image.longitude, 1] }), `${image.latitude.toFixed(4)}, ${image.longitude.toFixed(4)}`)}</dd>` : null}
    <dt>Size</dt><dd>${!image.width ? "not known yet" : html`${image.width.toLocaleString("en")} × ${image.height.toLocaleString("en")} px${image.size_bytes ? `, ${size(image.size_bytes)}` : ""}, ${image.format}`}</dd>
    <dt>File</dt><dd class="path">${image.paths.map((/** @type {string} */ path) => html`<span key=${path}>${path}</span>`)}</dd>
  </dl>`;
}

/**
 * @param {Read & {image: any, chosen: any, hit: Answer | null, mayWrite: boolean,
 *   onImage: (image: any) => void, onRemove: () => void}} props
 */
export function Panel({ image, chosen, hit, mayWrite, onImage, onRemove, ...read }) {
  const name = nameOf(image.paths[0]),
    { near_duplicates: alike } = image;
  const { lines } = read;
  return html`<aside aria-label="About this picture">
    <h2>${name}</h2>
    <${Pages} image=${image} />
    ${
      chosen
        ? html`<${ChosenRegion} chosen=${chosen} image=${image} hit=${hit} read=${read} />`
        : image.state !== "done"
          ? html`<p class="bad">${image.reason ?? "It waits to be indexed."}</p>`
          : html`<p class="quiet">Choose a thing in the picture${image.shot ? "" : ", or cut one out"}.</p>
        <div class="buttons"><button type="button" title="f" onClick=${actsOf(image.image_id, null).like}><${Icon} name="like" />Find pictures like it</button></div>`
    }
    ${
      lines.length && linesOf(lines, chosen?.segment_id).length < lines.length
        ? html`<section aria-label="All text"><${Words} ...${read} label="all text"
        title=${html`<h3>Text in this picture</h3>`} /></section>`
        : null
    }
    <section aria-label="This picture">
      <${Tags} image=${image} mayWrite=${mayWrite} onImage=${onImage} />
      <div class="buttons">
        ${mayWrite ? html`<${Collect} image=${image.image_id} />` : null}
        <a class="button" href=${`v1/images/${image.image_id}/file`} download=${name.replace(/, page \d+$| at [\d:]+-[\d:]+$/, "")}><${Icon} name="download" />Original</a>
        ${mayWrite ? html`<${IconButton} icon="bin" label="Remove from the library" onClick=${onRemove} />` : null}
      </div>
      <${Facts} image=${image} />
    </section>
    ${
      alike.length
        ? html`<section aria-label="Near-duplicates"><h3>Looks almost the same</h3><p class="alike">${alike
            .slice(0, 12)
            .map(
              (/** @type {number} */ id) => html`
      <${Open} key=${id} id=${id} aria-label=${`Open picture ${id}`}><img alt="" src=${thumbnail(id, 160)} loading="lazy" /><//>`,
            )}</p></section>`
        : null
    }
  </aside>`;
}

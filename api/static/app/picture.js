// The picture view: one picture over the grid, a region marked, others under the pointer, and what can
// be cut out of it by clicks and boxes.

import { Component, createRef, html } from "../vendor/preact.js";
import { call, isAbort, post, sentence } from "./api.js";
import { removeImages } from "./arranging.js";
import { foundLines, sureOf } from "./items.js";
import { actsOf } from "./likeness.js";
import { resultsOf } from "./results.js";
import { holds } from "./masks.js";
import { Panel } from "./panel.js";
import { nothing, obeys, Pointing, withoutLast, withPoint } from "./pointing.js";
import { RegionStrip } from "./region_strip.js";
import { nameOf } from "./sayings.js";
import { closePicture, openPicture } from "./store.js";
import { IconButton, isTyping, notify, Switch } from "./ui.js";
import { Viewer } from "./viewer.js";

/**
 * @typedef {import("./items.js").Region} Region @typedef {import("./items.js").Line} Line
 * @typedef {import("./pointing.js").Prompt} Prompt @typedef {import("./pointing.js").Mode} Mode
 */

const MEANT = ["part", "thing", "whole"];

export class PictureView extends Component {
  /** @param {{now: import("./address.js").Query, mayWrite: boolean}} props */
  constructor(props) {
    super(props);
    /** @type {any} */
    this.state = {
      image: null,
      view: Viewer, // what shows it
      segments: [],
      lines: [], // of text, in the order of reading
      problem: "",
      under: null, // the region under the pointer
      pointed: 0, // the place of the line of text that is pointed at; 0 for none
      tool: "select",
      level: 0,
      prompt: nothing(),
      masks: [],
      candidate: 0,
      mode: "new",
      asking: false,
    };
    /** @type {Viewer | null} */
    this.viewer = null;
    this.root = createRef();
    this.stop = new AbortController();
    this.pointing = new AbortController();
    this.before = document.activeElement;
    this.onKey = (/** @type {KeyboardEvent} */ event) => this.keys(event);
    this.onAnswers = () => this.setState({});
    /** @type {import("./results.js").Results | null} */
    this.heard = null;
  }

  componentDidMount() {
    addEventListener("keydown", this.onKey);
    this.hear();
    document.body.classList.add("covered");
    this.root.current?.focus();
    void this.load();
  }

  /** @param {any} was */
  componentDidUpdate(was) {
    if (was.now.image !== this.props.now.image) void this.load();
    this.hear();
  }

  /** Where this picture stands is drawn again as the answers come. */
  hear() {
    const results = resultsOf(this.props.now);
    if (results === this.heard) return;
    this.heard?.listeners.delete(this.onAnswers);
    this.heard = results;
    results.listeners.add(this.onAnswers);
  }

  componentWillUnmount() {
    removeEventListener("keydown", this.onKey);
    this.heard?.listeners.delete(this.onAnswers);
    document.body.classList.remove("covered");
    this.stop.abort();
    this.pointing.abort();
    const { image } = this.props.now;
    requestAnimationFrame(() => {
      const card = document.querySelector(`#results [data-image="${image}"] .look`) ?? this.before;
      if (card instanceof HTMLElement && card.isConnected) card.focus({ preventScroll: true });
    });
  }

  async load() {
    this.stop.abort();
    this.stop = new AbortController();
    const { image: id } = this.props.now,
      options = { signal: this.stop.signal };
    this.forgetCut();
    const before = this.state.image;
    this.setState({ image: before?.shot && before }); // its video may go on
    this.setState({ segments: [], lines: [], under: null, pointed: 0, problem: "", level: 0 });
    try {
      const image = await call(`v1/images/${id}`, options);
      const { Film: view = Viewer } = image.shot ? await import("./film.js") : {};
      this.setState({ image, view });
      if (image.state !== "done") {
        return this.setState({
          problem:
            image.reason ??
            (image.width
              ? "Its regions are not there yet: it waits to be indexed."
              : "It waits to be indexed."),
        });
      }
      call(`v1/images/${id}/text`, options).then(
        ({ lines }) => this.setState({ lines }),
        () => {}, // the picture is shown without
      );
      const { segments } = await call(`v1/images/${id}/segments`, options);
      return this.setState({ segments });
    } catch (problem) {
      return isAbort(problem) ? undefined : this.setState({ problem: sentence(problem) });
    }
  }

  /** What was cut out, or is being cut out, is meant no more. */
  forgetCut() {
    this.pointing.abort();
    this.setState({ prompt: nothing(), masks: [], asking: false });
  }

  /** What is marked: what was cut out, else the stored region that the address names. */
  get chosen() {
    const { masks, candidate, prompt, segments, asking } = this.state;
    if (asking) return null; // what was chosen before is meant no more
    if (masks.length) return { ...masks[candidate], prompt: { ...prompt, candidate } };
    return (
      segments.find((/** @type {Region} */ { segment_id }) => segment_id === this.props.now.segment) ?? null
    );
  }

  /** The answer that this picture is, with its scores. @returns {import("./panel.js").Answer | null} */
  get hit() {
    const { now } = this.props;
    if (this.state.masks.length) return null; // what was cut out is no answer
    const found = resultsOf(now).items.find(
      (item) => item.image === now.image && item.regions.some(({ segment_id }) => segment_id === now.segment),
    );
    const region = found?.regions.find(({ segment_id }) => segment_id === now.segment);
    return found && region ? { ...region, sure: sureOf(found, region, true) } : null;
  }

  /** The lines of text that were asked for. */
  get found() {
    const { now } = this.props;
    return foundLines(
      resultsOf(now)
        .items.filter(({ image }) => image === now.image)
        .flatMap(({ regions }) => regions),
    );
  }

  /** Where this picture stands among the answers; -1 where it is none of them. */
  place() {
    const { now } = this.props,
      { items } = resultsOf(now);
    const exact = items.findIndex(
      (item) => item.image === now.image && item.regions.some(({ segment_id }) => segment_id === now.segment),
    );
    return exact >= 0 ? exact : items.findIndex((item) => item.image === now.image);
  }

  /** Go to the answer before or after. @param {number} step */
  async turn(step) {
    const results = resultsOf(this.props.now);
    if (this.place() < 0) return; // a picture that is none of the answers has no neighbours
    if (!this.place() && step < 0) await results.earlier();
    const to = this.place() + step;
    if (to >= results.shown && results.open) await results.more();
    const item = results.items[to];
    if (item && to >= 0 && to < results.shown) openPicture(item.image, item.regions[0]?.segment_id ?? 0);
  }

  /** @param {number} region */
  choose(region) {
    this.forgetCut();
    openPicture(this.props.now.image, region);
  }

  /** @param {Prompt} prompt */
  async ask(prompt) {
    this.pointing.abort();
    this.pointing = new AbortController();
    this.setState({ prompt, asking: true });
    const { points, labels, box } = prompt;
    try {
      const answer = await post(
        "v1/segment",
        {
          image_id: this.props.now.image,
          points,
          ...(points.length ? { labels } : {}),
          ...(box ? { boxes: [box] } : {}),
          multimask: true,
        },
        { signal: this.pointing.signal },
      );
      const { masks } = answer.objects[0] ?? { masks: [] };
      if (!masks.length) notify("Nothing can be cut out there.");
      else if (points.length > 1 && !obeys(masks[0], prompt))
        notify("No outline keeps to all of the points: this is the nearest.");
      this.setState({ masks, candidate: 0, asking: false });
    } catch (problem) {
      if (isAbort(problem)) return;
      this.setState({ asking: false });
      notify(sentence(problem), { bad: true });
    }
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {0 | 1} label
   * @param {boolean} more beside what was clicked before
   */
  point(x, y, label, more) {
    const { prompt, tool } = this.state;
    const mode = more ? (label ? "more" : "not") : tool === "cut" ? this.state.mode : "new";
    const next = withPoint(prompt, [x, y], mode);
    if (!next) return notify("First click on a thing; then something can be taken away from it.");
    return void this.ask(next);
  }

  /** Take back the last point, or the box. */
  undoPoint() {
    const left = withoutLast(this.state.prompt);
    if (left) void this.ask(left);
    else this.forgetCut();
  }

  /** Choose a larger region around the present one, or a smaller one in it. @param {number} step */
  level(step) {
    const { masks, candidate, segments, level } = this.state;
    if (masks.length) {
      const ordered = this.bySize(),
        at = ordered.indexOf(candidate) + step;
      if (ordered[at] !== undefined) this.setState({ candidate: ordered[at] });
      return;
    }
    const { chosen } = this;
    if (!chosen) return void this.setState({ level: Math.max(0, level + step) });
    const around = segments
      .filter((/** @type {Region} */ other) => (step > 0 ? holds(other, chosen) : holds(chosen, other)))
      .sort((/** @type {Region} */ a, /** @type {Region} */ b) =>
        step > 0 ? a.area - b.area : b.area - a.area,
      );
    if (around.length) openPicture(this.props.now.image, around[0].segment_id);
    else notify(step > 0 ? "No larger region holds this one." : "No smaller region lies in this one.");
  }

  /** The candidates' numbers, the smallest mask first. @returns {number[]} */
  bySize() {
    return this.state.masks
      .map((/** @type {any} */ mask, /** @type {number} */ number) => [mask.area, number])
      .sort((/** @type {number[]} */ a, /** @type {number[]} */ b) => a[0] - b[0])
      .map((/** @type {number[]} */ [, number]) => number);
  }

  /** @param {KeyboardEvent} event */
  keys(event) {
    if (event.key === "Escape" && !event.defaultPrevented) {
      if (this.state.masks.length || this.state.prompt.points.length) return this.forgetCut();
      return closePicture();
    }
    const { points, box } = this.state.prompt;
    if (!isTyping(event) && (event.ctrlKey || event.metaKey) && event.key === "z" && (points.length || box)) {
      event.preventDefault();
      return this.undoPoint();
    }
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return undefined;
    const { chosen } = this,
      acts = actsOf(this.props.now.image, chosen);
    /** @type {Record<string, () => unknown>} */
    const found = {
      ArrowLeft: () => this.turn(-1),
      ArrowRight: () => this.turn(1),
      "[": () => this.level(-1),
      "]": () => this.level(1),
      f: acts.like,
      a: acts.add,
      n: acts.not,
      "+": () => this.viewer?.zoom(1.5),
      "-": () => this.viewer?.zoom(1 / 1.5),
      0: () => this.viewer?.zoomOut(),
      1: () => this.viewer?.zoomFull(),
      c: () => this.setState({ tool: "cut" }),
      v: () => this.setState({ tool: "select" }),
    };
    const act = found[event.key];
    if (
      !act ||
      (event.target instanceof Element &&
        event.target.closest(".strip-of-regions, [role=application]") &&
        event.key.startsWith("Arrow"))
    )
      return undefined;
    event.preventDefault();
    return void act();
  }

  remove() {
    const { image } = this.props.now,
      at = this.place(),
      results = resultsOf(this.props.now);
    const next = at < 0 ? undefined : (results.items[at + 1] ?? results.items[at - 1]);
    removeImages([image], results);
    if (next) openPicture(next.image, next.regions[0]?.segment_id ?? 0);
    else closePicture();
  }

  /** @param {any} props @param {any} state */
  render({ now, mayWrite }, state) {
    const { image, view, segments, lines, pointed, under, problem } = state,
      { level, mode, prompt, masks, candidate, asking } = state,
      tool = image?.shot ? "select" : state.tool;
    const { chosen } = this,
      at = this.place(),
      results = resultsOf(now),
      { shown, open } = results;
    const name = image ? nameOf(image.paths[0]) : "Picture";
    const ordered = this.bySize(),
      names = ordered.length === 3 ? MEANT : ordered.map((_, i) => String(i + 1));
    return html`<div id="picture" role="dialog" aria-modal="true" aria-label=${name} tabindex="-1" ref=${this.root}>
      <div class=${asking ? "stage asking" : "stage"}>
        <div class="top">
          <${IconButton} icon="close" label="Close (Esc)" onClick=${closePicture} />
          <${Switch} label="What a click does" value=${tool} options=${[
            ["select", "Select"],
            ["cut", "Cut out"],
          ]} onChange=${(/** @type {string} */ value) => this.setState({ tool: value })} />
          ${
            tool === "cut"
              ? html`<${Pointing} mode=${mode} prompt=${prompt} onMode=${(/** @type {Mode} */ value) => this.setState({ mode: value })}
            onUndo=${() => this.undoPoint()} />`
              : null
          }
          ${
            masks.length > 1
              ? html`<${Switch} label="Which of the masks" value=${String(candidate)} options=${ordered.map((number, i) => [String(number), names[i]])}
            onChange=${(/** @type {string} */ value) => this.setState({ candidate: Number(value) })} />`
              : html`<span class="pair"><${IconButton} icon="minus" label="A part of it ([)" onClick=${() => this.level(-1)} /><span>part · whole</span>
              <${IconButton} icon="plus" label="What holds it (])" onClick=${() => this.level(1)} /></span>`
          }
          <span class="pair zoom"><${IconButton} icon="minus" label="Zoom out (-)" onClick=${() => this.viewer?.zoom(1 / 1.5)} /><span>zoom</span>
            <${IconButton} icon="plus" label="Zoom in (+)" onClick=${() => this.viewer?.zoom(1.5)} />
            <${IconButton} icon="whole" label="The whole picture (0)" onClick=${() => this.viewer?.zoomOut()} /></span>
          ${at >= 0 && at < shown ? html`<span class="quiet">${(results.start + at + 1).toLocaleString("en")} of ${(results.total ?? shown).toLocaleString("en")}${open && results.total === null ? "+" : ""}</span>` : null}
        </div>
        ${
          image
            ? html`<${view} key=${image.shot?.video_id ?? image.image_id} hand=${(
                /** @type {Viewer} */ viewer,
              ) => {
                this.viewer = viewer;
              }} image=${image} segments=${segments} lines=${lines} found=${this.found} pointed=${pointed} chosen=${chosen} prompt=${prompt} tool=${tool} level=${level}
          name=${name} onChoose=${(/** @type {Region} */ { segment_id }) => this.choose(segment_id)} onLevel=${(/** @type {number} */ step) => this.level(step)}
          onUnder=${(/** @type {Region | null} */ region, /** @type {number} */ line) => this.setState({ under: region, pointed: line })}
          onPoint=${(/** @type {[number, number, 0 | 1, boolean]} */ ...where) => this.point(...where)}
          onBox=${(/** @type {Prompt["box"]} */ box) => this.ask({ points: [], labels: [], box })} />`
            : html`<div class="frame"></div>`
        }
        ${at > 0 ? html`<${IconButton} class="before" icon="before" label="The one before (Left)" onClick=${() => this.turn(-1)} />` : null}
        ${at >= 0 && (at + 1 < shown || open) ? html`<${IconButton} class="after" icon="after" label="The next one (Right)" onClick=${() => this.turn(1)} />` : null}
        <p class="hint" role="status">${
          problem ||
          (asking
            ? "Cutting it out …"
            : (under?.captions?.[0]?.text ??
              lines.find((/** @type {Line} */ { position }) => position === pointed)?.text ??
              (tool === "cut"
                ? "Click a thing or drag a box; then add to it (Shift) or take away (Alt)."
                : view.hint)))
        }</p>
        ${image && segments.length ? html`<${RegionStrip} image=${image} segments=${segments} chosen=${chosen} onChoose=${(/** @type {Region} */ { segment_id }) => this.choose(segment_id)} />` : null}
      </div>
      ${
        image
          ? html`<${Panel} image=${image} segments=${segments} lines=${lines} chosen=${chosen} hit=${this.hit} mayWrite=${mayWrite}
        pointed=${pointed} onPoint=${(/** @type {number} */ position) => this.setState({ pointed: position })}
        onChoose=${(/** @type {number} */ region) => this.choose(region)}
        onImage=${(/** @type {any} */ next) => {
          if (next.image_id === this.props.now.image) this.setState({ image: next });
        }} onRemove=${() => this.remove()} />`
          : html`<aside aria-label="About this picture">${problem ? html`<h2>${problem}</h2>` : null}</aside>`
      }
    </div>`;
  }
}

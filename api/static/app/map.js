// The map view: all regions in two dimensions, what looks alike together. It is fetched, made, and made
// anew; groups carry their words.

import { Component, html } from "../vendor/preact.js";
import { call, isAbort, post, Refusal, request, sentence } from "./api.js";
import { Plane } from "./plane.js";
import { colourOf } from "./points.js";
import { collectionOf, count, day, wordsOf } from "./sayings.js";
import { go, groupOf } from "./store.js";
import { IconButton, notify, Switch } from "./ui.js";

/**
 * @typedef {import("./address.js").Query} Query
 * @typedef {{cluster: number, words: string[], regions: number, x: number, y: number,
 *   examples: number[]}} Cluster
 * @typedef {{state: string, stale: boolean, progress: number | null, step: string | null,
 *   message: string | null,
 *   method: string | null, regions: number, made_at: string | null, clusters: Cluster[]}} MapState
 */

const LOOK_MS = 1000; // at a map that is being made
const HEADER = 6; // numbers before the points
const MAGIC = 0x314d5353; // "SSM1"

/** The blocks of the answer as arrays. @param {ArrayBuffer} buffer */
export function unpack(buffer) {
  const [magic, length, x, y, groups, ids] = new Uint32Array(buffer, 0, HEADER);
  if (magic !== MAGIC) throw new Refusal("The map cannot be read: draw it anew.");
  const segments = new BigInt64Array(buffer, ids, length);
  return {
    x: new Float32Array(buffer, x, length),
    y: new Float32Array(buffer, y, length),
    groups: new Uint16Array(buffer, groups, length),
    ids: Float64Array.from(segments, Number),
  };
}

export class MapView extends Component {
  /** @param {{now: Query, mayWrite: boolean}} props */
  constructor(props) {
    super(props);
    /** @type {any} */
    this.state = {
      map: null,
      problem: "",
      lost: false, // whether the problem is that the map could not be fetched
      points: null,
      tool: "move",
      only: -1,
    };
    this.stop = new AbortController();
    this.key = ""; // of the map that is drawn
    /** @type {Plane | null} */
    this.plane = null;
    this.gone = false;
  }

  componentDidMount() {
    void this.load();
  }

  /** @param {any} was */
  componentDidUpdate(was) {
    if (collectionOf(was.now) !== collectionOf(this.props.now)) void this.load();
  }

  componentWillUnmount() {
    this.gone = true;
    this.stop.abort();
    clearTimeout(this.timer);
  }

  /** There is no map that could be shown. @param {object} [more] of the state */
  withdraw(more) {
    this.key = "";
    this.setState({ points: null, ...more });
  }

  lookSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.load(), LOOK_MS);
  }

  get of() {
    const name = collectionOf(this.props.now);
    return name ? `?collection=${encodeURIComponent(name)}` : "";
  }

  async load() {
    this.stop.abort();
    this.stop = new AbortController();
    clearTimeout(this.timer);
    const options = { signal: this.stop.signal };
    try {
      /** @type {MapState} */
      const map = await call(`v1/map${this.of}`, options);
      this.setState({
        map,
        problem: map.state === "failed" ? (map.message ?? "The map could not be drawn.") : "",
        lost: false,
      });
      if (map.state === "making") this.lookSoon();
      const key = `${this.of} ${map.made_at}`;
      if (map.made_at && key !== this.key) {
        const answer = await request(`v1/map/points${this.of}`, options);
        const points = unpack(await answer.arrayBuffer());
        this.key = key;
        this.setState({ points, only: this.props.now.filters.map_cluster ?? -1 });
      } else if (!map.made_at) this.withdraw();
    } catch (problem) {
      if (isAbort(problem)) return;
      this.setState({ problem: sentence(problem), lost: true });
      if (this.state.map?.state === "making") this.lookSoon();
    }
  }

  async make() {
    const name = collectionOf(this.props.now);
    try {
      const map = await post("v1/map", { collection: name || null });
      if (this.gone || name !== collectionOf(this.props.now)) return;
      this.setState({ map, problem: "", lost: false });
      this.lookSoon();
    } catch (problem) {
      notify(sentence(problem), { bad: true });
    }
  }

  /** The groups as a list, for who reads and for the keyboard. @param {MapState} map */
  groups(map) {
    return html`<ul class="groups plain" aria-label="Groups">${[...map.clusters]
      .sort((a, b) => b.regions - a.regions)
      .map(
        (cluster) => html`
      <li key=${cluster.cluster}><button type="button" class="link" onPointerEnter=${() => this.setState({ only: cluster.cluster })}
          onPointerLeave=${() => this.setState({ only: -1 })} onFocus=${() => this.setState({ only: cluster.cluster })} onBlur=${() => this.setState({ only: -1 })}
          onClick=${() => go(groupOf(cluster.cluster))}>
        <i class="dot" style=${`background:${colourOf(cluster.cluster)}`}></i><span>${wordsOf(cluster)}</span><span class="quiet">${cluster.regions.toLocaleString("en")}</span>
      </button></li>`,
      )}</ul>`;
  }

  /** @param {any} props @param {any} state */
  render({ mayWrite, now }, { map, problem, lost, points, tool, only }) {
    const making = map?.state === "making";
    const draw = (/** @type {string} */ text) =>
      mayWrite ? html`<button type="button" onClick=${() => this.make()}>${text}</button>` : null;
    const name = collectionOf(now);
    return html`<div id="map" aria-busy=${String(!map && !problem)}>
      <div class="above">
        <p id="message" role="status" class=${problem ? "bad" : ""}>${
          problem ||
          (points
            ? `${count(points.x.length, "region")}${name ? ` of ${name}` : ""}; what looks alike lies together${map.method === "pca" ? " (drawn by principal components)" : ""}`
            : making
              ? ""
              : map
                ? "There is no map yet: it shows all regions, those that look alike together."
                : "")
        }</p>
        ${making ? html`<label class="making">${map.step ?? "Drawing the map"} <progress max="1" value=${map.progress ?? 0}></progress></label>` : null}
        ${!making && map && !points && !problem ? draw("Draw the map") : null}
        ${!making && map?.stale && points ? html`<span class="quiet">The library has changed since ${day(map.made_at)}.</span>${draw("Draw it anew")}` : null}
        ${
          lost
            ? html`<button type="button" onClick=${() => this.load()}>Try again</button>`
            : !making && problem
              ? draw("Try again")
              : null
        }
        ${
          points
            ? html`<${Switch} label="What a drag does" value=${tool} options=${[
                ["move", "Move"],
                ["lasso", "Lasso"],
              ]} onChange=${(/** @type {string} */ value) => this.setState({ tool: value })} />
          <span class="pair"><${IconButton} icon="minus" label="Zoom out" onClick=${() => this.plane?.zoom(1 / 1.5)} /><${IconButton} icon="plus" label="Zoom in" onClick=${() => this.plane?.zoom(1.5)} />
          <${IconButton} icon="whole" label="The whole map" onClick=${() => this.plane?.zoomOut()} /></span>`
            : null
        }
      </div>
      ${
        points
          ? html`<div class="plane">
        <${Plane} key=${this.key} now=${now} points=${points} clusters=${map.clusters} tool=${tool} only=${only}
          hand=${(/** @type {Plane} */ plane) => {
            this.plane = plane;
          }}
          onLost=${(/** @type {unknown} */ why) => this.withdraw({ problem: sentence(why), lost: true })} />
        ${this.groups(map)}
      </div>`
          : null
      }
    </div>`;
  }
}

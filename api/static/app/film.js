// A shot of a video in the open picture: the video itself, paused at the moment of the answer, with the
// chosen thing outlined while it moves. What a browser cannot play is shown frame by frame.

import { Component, html } from "../vendor/preact.js";
import { call, isAbort, marked, sentence } from "./api.js";
import { FilmBar, markAfter, marksOf } from "./film_bar.js";
import { clock } from "./sayings.js";
import { openPicture, query } from "./store.js";
import { drawTrack, NEAR_S, regionsOf } from "./track.js";
import { isTyping, notify } from "./ui.js";
import { Viewer } from "./viewer.js";
import { fit } from "./zoom.js";

/**
 * @typedef {import("./items.js").Region} Region
 * @typedef {import("./film_bar.js").Shot} Shot @typedef {import("./film_bar.js").Video} Video
 * @typedef {import("./film_bar.js").Mark} Mark @typedef {import("./film_bar.js").Timeline} Timeline
 * @typedef {import("./track.js").Track} Track
 * @typedef {import("./viewer.js").ViewerProps} ViewerProps
 */

const SIDE_PX = 1280; // of frames: as large as what was indexed
const PAUSE_MS = 120; // before a frame is asked for, or what is seen in it: who drags asks for the last alone
const NUDGE_S = 0.001; // times are rounded to that, and the frame before must not be meant
const PART_S = 60; // of a shot that is re-encoded: the server's limit
const DENSITY = Math.min(2, globalThis.devicePixelRatio || 1);

const tellsFrames = (/** @type {HTMLVideoElement} */ player) => "requestVideoFrameCallback" in player;
const rounded = (/** @type {number} */ seconds) => Math.round(1000 * seconds) / 1000;

// The styles come with the view; whoever imports it waits for them.
const sheet = document.createElement("link");
sheet.rel = "stylesheet";
sheet.href = "static/css/film.css";
await new Promise((resolve) => {
  sheet.onload = sheet.onerror = resolve;
  document.head.append(sheet);
});

export class Film extends Component {
  static hint = "Pause, and click a thing to choose it.";

  /** @param {ViewerProps & {image: {shot: {video_id: number, seconds: number}}}} props */
  constructor(props) {
    super(props);
    this.id = props.image.shot.video_id;
    /** @type {import("./film_bar.js").FilmState} */
    this.state = {
      video: null,
      source: "file",
      clip: null,
      at: null,
      seen: [],
      track: null,
      playing: false,
      ready: false,
      muted: false,
      clips: true,
      lost: false,
    };
    this.seconds = 0; // what is shown
    /** Where the video is to go as soon as it can. @type {number | null} */
    this.wanted = null;
    /** Where it is on its way to. @type {number | null} */
    this.sent = null;
    this.starting = false; // it plays as soon as it can
    this.clicked = 0; // a thing that was chosen in this very frame, which stays
    /** When the things of shots are seen best. @type {Record<number, Promise<number[]>>} */
    this.moments = {};
    this.key = "";
    this.shot = 0;
    /** @type {HTMLVideoElement | null} */
    this.player = null;
    /** @type {HTMLCanvasElement | null} */
    this.canvas = null;
    /** @type {Viewer | null} */
    this.viewer = null;
    /** @type {PointerEvent | null} */
    this.pointer = null; // where it was last
    /** @type {Timeline | null} */
    this.timeline = null;
    this.stop = new AbortController();
    this.looking = new AbortController();
    this.choosing = new AbortController();
    this.onKey = (/** @type {KeyboardEvent} */ event) => this.keys(event);
    // The same functions at each drawing: a new one would be told of the same element again.
    this.onPlayer = (/** @type {HTMLVideoElement | null} */ player) => this.take(player);
    this.onTimeline = (/** @type {Timeline} */ timeline) => {
      this.timeline = timeline;
      timeline.move(this.wanted ?? this.seconds);
    };
    this.onCanvas = (/** @type {HTMLCanvasElement | null} */ canvas) => {
      this.canvas = canvas;
      this.draw();
    };
  }

  componentDidMount() {
    addEventListener("keydown", this.onKey);
    call(`v1/videos/${this.id}`, { signal: this.stop.signal }).then(
      (video) => this.setState({ video }),
      (problem) => {
        if (!isAbort(problem)) notify(sentence(problem), { bad: true });
      },
    );
    void this.follow();
  }

  componentDidUpdate() {
    void this.follow();
    this.timeline?.move(this.wanted ?? this.seconds);
    this.draw();
  }

  componentWillUnmount() {
    removeEventListener("keydown", this.onKey);
    clearTimeout(this.timer);
    for (const asked of [this.stop, this.looking, this.choosing]) asked.abort();
  }

  /** Go where the address leads: to the chosen thing's best moment, or to the frame of the shot. */
  async follow() {
    const { image, segment } = query(),
      key = `${image} ${segment}`;
    if (key === this.key) return;
    this.key = key;
    this.choosing.abort();
    this.choosing = new AbortController();
    const { signal } = this.choosing;
    /** @type {Track | null} */
    const track = segment ? await call(`v1/segments/${segment}/track`, { signal }).catch(() => null) : null;
    if (signal.aborted || (track && track.video_id !== this.id)) return;
    const { shot } = this.props.image;
    const shown =
      this.props.image.image_id === image
        ? shot
        : this.state.video?.shots.find((/** @type {Shot} */ { image_id }) => image_id === image);
    // What was pointed at in this very frame, or is seen in it and answers nothing, keeps it.
    const stays =
      segment === this.clicked ||
      (this.state.seen.some((/** @type {Region} */ { segment_id }) => segment_id === segment) &&
        !this.marks.some((mark) => mark.segment === segment));
    this.setState({ track });
    if (track && !stays) this.show(track.best_seconds);
    else if (!track && image !== this.shot && shown) this.show(shown.seconds);
    this.clicked = 0;
    this.shot = image;
  }

  /** Whether the element plays what holds a moment. @param {number} seconds */
  holds(seconds) {
    const { source, clip } = this.state;
    if (source === "clip" && clip) return seconds >= clip.t_start && seconds < clip.t_end;
    return source === "file";
  }

  /** When what the element plays begins, in seconds of the video. */
  get from() {
    const { source, clip } = this.state;
    return source === "clip" && clip ? clip.t_start : 0;
  }

  /** The last moment that can be asked for: what lies after the end is refused. */
  get last() {
    const { video } = this.state;
    return video ? Math.floor(1000 * video.seconds) / 1000 : Infinity;
  }

  /** Pause at a moment. @param {number} seconds */
  show(seconds) {
    this.player?.pause();
    this.seek(seconds);
  }

  /** @param {number} seconds */
  seek(seconds) {
    const { video, at, seen, source } = this.state;
    const to = Math.max(0, Math.min(seconds, video?.seconds ?? seconds));
    this.forgetSeen();
    this.timeline?.move(to);
    if (at === null) this.setState({ at: rounded(to) }); // the first
    if (seen.length) this.setState({ seen: [] });
    this.wanted = to;
    if (this.holds(to)) this.jump();
    else {
      this.wanted = null;
      if (source === "clip") this.setState({ source: "frames", playing: false, ready: false });
      this.arrive(to);
    }
  }

  /** Let the video go where it is wanted, unless it is still on its way elsewhere. */
  jump() {
    const { player, wanted } = this;
    if (!player || wanted === null || player.readyState < 1 || player.seeking) return;
    this.sent = wanted;
    player.currentTime = wanted - this.from + NUDGE_S;
  }

  /** A frame is shown. @param {number} seconds */
  arrive(seconds) {
    this.seconds = seconds;
    this.draw();
    if (this.wanted === null) this.timeline?.move(seconds);
    if (!this.state.playing) this.lookSoon();
  }

  /** @param {HTMLVideoElement | null} player */
  take(player) {
    this.player = player;
    if (player && tellsFrames(player)) this.watch(player);
  }

  /** Hear of each frame, where browsers tell of them; else look at the clock while it plays.
   * @param {HTMLVideoElement} player */
  watch(player) {
    const next = (/** @type {number} */ seconds) => {
      if (player !== this.player) return;
      // A frame that was sought is told by the moment that was sought in it, not by where it begins.
      if (!player.paused || this.from + seconds > this.seconds) this.arrive(this.from + seconds);
      this.watch(player);
    };
    if (tellsFrames(player)) player.requestVideoFrameCallback((_, { mediaTime }) => next(mediaTime));
    else if (!player.paused) requestAnimationFrame(() => next(player.currentTime));
  }

  /** What was seen in another frame is under the pointer no more. */
  forgetSeen() {
    clearTimeout(this.timer);
    this.looking.abort();
    this.viewer?.leave();
  }

  /** Ask what is seen in the frame at which it stands, and for the frame itself where nothing plays. */
  lookSoon() {
    this.forgetSeen();
    this.timer = setTimeout(() => void this.look(), PAUSE_MS);
  }

  async look() {
    const { source, playing } = this.state;
    if (playing) return;
    const seconds = Math.min(this.last, rounded(this.seconds));
    if (source === "frames") this.setState({ at: seconds });
    this.looking = new AbortController();
    const { signal } = this.looking;
    try {
      const { segments } = await call(`v1/videos/${this.id}/segments?t=${seconds}`, { signal });
      this.setState({ seen: regionsOf(segments) }, () => this.point());
    } catch (problem) {
      if (!isAbort(problem)) notify(sentence(problem), { bad: true });
    }
  }

  /** A pointer that rests means what has come under it. */
  point() {
    const { viewer, pointer } = this;
    if (pointer && viewer?.frame.current?.matches(":hover")) viewer.hover(pointer);
  }

  draw() {
    const { image } = this.props,
      frame = this.viewer?.state.frame;
    if (!this.canvas || !frame) return;
    const scale = fit(image, frame).scale * DENSITY;
    const size = { width: image.width * scale, height: image.height * scale };
    drawTrack(this.canvas, this.state.track, this.seconds, size);
  }

  toggle() {
    const { source, video, clips } = this.state,
      { player } = this;
    if (player && !player.paused) return player.pause();
    if (source === "frames") {
      if (!clips || !video) return undefined;
      const shot = video.shots.find((/** @type {Shot} */ one) => this.seconds < one.t_end - NEAR_S);
      const { t_start, t_end } = shot ?? video.shots[0],
        at = shot ? this.seconds : 0; // from the end it begins anew
      const start = t_start + PART_S * Math.floor(Math.max(0, at + NEAR_S - t_start) / PART_S);
      const clip = { t_start: rounded(start), t_end: Math.min(start + PART_S, t_end, this.last) };
      this.wanted = Math.max(clip.t_start, at);
      this.starting = true;
      return this.setState({ source: "clip", clip, ready: false });
    }
    return void player?.play().catch(() => {}); // why not is told as an error of the element
  }

  /** The video can be moved in. */
  opened() {
    if (!this.player?.videoWidth) return this.failed(); // its sound alone can be played
    this.wanted ??= this.seconds;
    return this.jump();
  }

  /** The video stands where it was sent. */
  stands() {
    const { wanted, player } = this;
    if (wanted !== this.sent) return this.jump();
    this.wanted = null;
    this.setState({ ready: true });
    if (player?.paused && wanted !== null) this.arrive(wanted);
    if (this.starting) void player?.play().catch(() => {});
    this.starting = false;
    return undefined;
  }

  /** It cannot be played. */
  failed() {
    const seconds = this.wanted ?? this.seconds;
    this.wanted = null;
    this.starting = false;
    this.setState(({ source, clips }) => ({
      source: "frames",
      at: rounded(seconds),
      playing: false,
      ready: false,
      clips: clips && source === "file",
    }));
    this.arrive(seconds);
  }

  /** The answers in this video. */
  get marks() {
    return marksOf(this.state.video?.shots ?? []);
  }

  /** @param {Mark} mark */
  open({ image, segment, seconds }) {
    if (query().segment === segment) this.show(seconds);
    else openPicture(image, segment);
  }

  /** @param {number} step */
  toMark(step) {
    const mark = markAfter(this.marks, step, this.seconds);
    if (mark) this.open(mark);
  }

  /** To the next moment at which something was looked at, or the one before. @param {number} step */
  async keyframe(step) {
    const { video, track } = this.state,
      from = this.wanted ?? this.seconds;
    const shot = video?.shots.find((/** @type {Shot} */ { t_end }) => from < t_end) ?? video?.shots.at(-1);
    if (!video || !shot) return;
    this.moments[shot.image_id] ??= call(`v1/images/${shot.image_id}/segments`).then(
      ({ segments }) => segments.map((/** @type {Region} */ { life }) => life?.best_seconds ?? from),
      () => [],
    );
    const best = await this.moments[shot.image_id],
      keys = [...video.shots, ...(track?.masks ?? [])].map(({ seconds }) => seconds);
    const beyond = [...best, ...keys].filter((seconds) => step * (seconds - from) > NEAR_S);
    if (beyond.length) this.show(step > 0 ? Math.min(...beyond) : Math.max(...beyond));
  }

  /** @param {KeyboardEvent} event */
  keys(event) {
    if (event.defaultPrevented || isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    /** @type {Record<string, () => unknown>} */
    const acts = { " ": () => this.toggle(), ",": () => this.keyframe(-1), ".": () => this.keyframe(1) };
    const act = acts[event.key];
    const pressed = event.key === " " && event.target instanceof Element;
    if (!act || (pressed && event.target.closest("button, a, summary, #help"))) return;
    event.preventDefault();
    act();
  }

  /** A click beside everything that is known. */
  miss() {
    if (this.state.playing) this.player?.pause();
    else notify(`Nothing is outlined there at ${clock(this.seconds)}: what is seen was found at keyframes.`);
  }

  /** The video, or the frame that stands for it. */
  sheet() {
    const { source, clip, at, ready, muted, lost } = this.state;
    if (at === null) return html`<canvas ref=${this.onCanvas} aria-hidden="true"></canvas>`;
    const from = source === "clip" && clip,
      path = `v1/videos/${this.id}`;
    const src = from ? `${path}/clip.mp4?from=${from.t_start}&to=${rounded(from.t_end)}` : `${path}/file`;
    // The frame lies below the video, which would be black until it has found the moment.
    return html`<img class="small" alt="" draggable=${false} src=${marked(`${path}/frame.jpg?t=${at}&side=${SIDE_PX}`)}
        onLoad=${() => lost && this.setState({ lost: false })} onError=${() => this.setState({ lost: true })} />
      ${
        source === "frames"
          ? null
          : html`<video key=${src} ref=${this.onPlayer} src=${src} class=${ready ? "" : "waiting"} preload="metadata" playsinline muted=${muted} aria-hidden="true" tabindex="-1"
        onLoadedMetadata=${() => this.opened()} onSeeked=${() => this.stands()} onError=${() => this.failed()}
        onPlay=${() => {
          this.forgetSeen();
          this.setState({ playing: true, seen: [] });
          if (this.player && !tellsFrames(this.player)) this.watch(this.player);
        }} onPause=${() => {
          this.setState({ playing: false });
          this.lookSoon();
        }} onEnded=${() => source === "clip" && this.seek(this.state.clip?.t_end ?? 0)}></video>`
      }
      <canvas ref=${this.onCanvas} aria-hidden="true"></canvas>`;
  }

  /** @param {any} props @param {any} state */
  render(props, { video, seen }) {
    const { image, lines, found } = props;
    // Lines were read in the frame that stands for the shot.
    const own = Math.abs(this.seconds - image.shot.seconds) <= NEAR_S;
    return html`<${Viewer} ...${props} hand=${(/** @type {Viewer} */ viewer) => {
      this.viewer = viewer;
      viewer.frame.current.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
        this.pointer = event;
      });
      props.hand(viewer);
    }} film=${this.sheet()} tool="select" chosen=${null} segments=${seen} lines=${own ? lines : []} found=${own ? found : []}
      onChoose=${(/** @type {any} */ region) => {
        if (region.segment_id !== query().segment) this.clicked = region.segment_id;
        openPicture(region.image_id, region.segment_id);
      }} onPoint=${() => this.miss()} onBox=${() => {}} />
    ${video ? html`<${FilmBar} ...${this.state} film=${this} marks=${this.marks} />` : null}`;
  }
}

// Points drawn by WebGL 2: a million of them move as one. Nothing here knows what they are.

const VERTEX = `#version 300 es
in vec2 place;
in float group;
in float marked;
uniform vec2 move, grow;
uniform float size, only;
uniform vec3 colours[12];
uniform vec3 accent;
out vec4 colour;
void main() {
  gl_Position = vec4(place * grow + move, 0.0, 1.0);
  bool dimmed = only >= 0.0 && group != only;
  colour = marked > 0.5 ? vec4(accent, 1.0) : vec4(colours[int(mod(group, 12.0))], dimmed ? 0.08 : 0.75);
  gl_PointSize = size * (marked > 0.5 ? 2.2 : 1.0);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour;
out vec4 drawn;
void main() {
  float far = length(gl_PointCoord - 0.5);
  if (far > 0.5) discard;
  drawn = vec4(colour.rgb, 1.0) * colour.a * smoothstep(0.5, 0.35, far);
}`;
// Told apart by colour-blind people too (after Okabe and Ito, lighter and darker).
const COLOURS = [
  "#e69f00",
  "#56b4e9",
  "#009e73",
  "#d55e00",
  "#cc79a7",
  "#0072b2",
  "#b8860b",
  "#8fc7ee",
  "#4fbf9f",
  "#e58a4f",
  "#dfa6c4",
  "#4f94c4",
];
const ACCENT = "#ff2d55";

/** @param {string} hex */
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);

/** The colour of a group, as on the map. @param {number} group */
export const colourOf = (group) => COLOURS[group % COLOURS.length];

/** @typedef {{x: number, y: number, zoom: number}} Look what lies in the middle, and how large: 1 is all */

export class Points {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{x: Float32Array, y: Float32Array, groups: Uint16Array}} data places in [-1, 1]
   * @throws {Error} where the browser has no WebGL 2
   */
  constructor(canvas, { x, y, groups }) {
    const gl = canvas.getContext("webgl2", {
      antialias: false,
      premultipliedAlpha: true,
      preserveDrawingBuffer: true,
    });
    if (!gl) throw new Error("This browser cannot draw the map: it has no WebGL 2.");
    this.canvas = canvas;
    /** @type {WebGLBuffer[]} */
    this.buffers = [];
    /** @type {WebGL2RenderingContext} */
    this.gl = gl;
    this.count = x.length;
    this.program = this.compile();
    const places = new Float32Array(2 * x.length),
      group = Float32Array.from(groups);
    for (let i = 0; i < x.length; i++) {
      places[2 * i] = x[i];
      places[2 * i + 1] = y[i];
    }
    this.attribute("place", 2, places);
    this.attribute("group", 1, group);
    this.marks = this.attribute("marked", 1, new Float32Array(x.length));
    gl.useProgram(this.program);
    gl.uniform3fv(this.uniform("colours"), COLOURS.flatMap(rgb));
    gl.uniform3fv(this.uniform("accent"), rgb(ACCENT));
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  compile() {
    const { gl } = this,
      program = /** @type {WebGLProgram} */ (gl.createProgram());
    for (const [kind, text] of /** @type {[number, string][]} */ ([
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ])) {
      const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
      gl.deleteShader(shader); // goes with the program
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS))
      throw new Error(gl.getProgramInfoLog(program) || "The map cannot be drawn.");
    return program;
  }

  /** @param {string} name @param {number} size @param {Float32Array} values */
  attribute(name, size, values) {
    const { gl } = this,
      buffer = gl.createBuffer(),
      at = gl.getAttribLocation(this.program, name);
    if (buffer) this.buffers.push(buffer);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, gl.FLOAT, false, 0, 0);
    return buffer;
  }

  /** Free what the canvas holds, which may be drawn on by others. */
  free() {
    for (const buffer of this.buffers) this.gl.deleteBuffer(buffer);
    this.gl.deleteProgram(this.program);
  }

  /** @param {string} name */
  uniform(name) {
    return this.gl.getUniformLocation(this.program, name);
  }

  /** Which points stand out: 1 each, else 0. @param {Float32Array} marked */
  mark(marked) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.marks);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, marked);
  }

  /**
   * How map coordinates become the canvas's: by these factors and steps, in clip space.
   * @param {Look} look
   */
  frame({ x, y, zoom }) {
    const { width, height } = this.canvas,
      side = Math.min(width, height);
    const grow = [(0.94 * zoom * side) / width, (0.94 * zoom * side) / height];
    return { grow, move: [-x * grow[0], -y * grow[1]] };
  }

  /** @param {Look} look @param {number} only the group that is shown alone; -1 for all */
  draw(look, only) {
    const { gl, canvas } = this,
      { grow, move } = this.frame(look);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(this.program);
    gl.uniform2fv(this.uniform("grow"), grow);
    gl.uniform2fv(this.uniform("move"), move);
    gl.uniform1f(this.uniform("only"), only);
    const usual = Math.max(2, Math.min(9, 260 / Math.sqrt(this.count)));
    gl.uniform1f(
      this.uniform("size"),
      Math.min(26, usual * Math.sqrt(look.zoom)) * (globalThis.devicePixelRatio || 1),
    );
    gl.drawArrays(gl.POINTS, 0, this.count);
  }

  /**
   * Where a place of the map lies on the canvas, in CSS pixels.
   * @param {Look} look
   * @param {number} x
   * @param {number} y
   */
  toScreen(look, x, y) {
    const { grow, move } = this.frame(look),
      { clientWidth, clientHeight } = this.canvas;
    return [
      ((x * grow[0] + move[0] + 1) / 2) * clientWidth,
      ((1 - (y * grow[1] + move[1])) / 2) * clientHeight,
    ];
  }

  /**
   * What place of the map a point of the canvas shows.
   * @param {Look} look
   * @param {number} left
   * @param {number} top in CSS pixels
   */
  toMap(look, left, top) {
    const { grow, move } = this.frame(look),
      { clientWidth, clientHeight } = this.canvas;
    return [
      ((2 * left) / clientWidth - 1 - move[0]) / grow[0],
      (1 - (2 * top) / clientHeight - move[1]) / grow[1],
    ];
  }
}

const CELLS = 256; // a side of the table of places

/** Finds the nearest point quickly: points sorted into a table of cells. */
export class Nearest {
  /** @param {Float32Array} x @param {Float32Array} y in [-1, 1] */
  constructor(x, y) {
    this.x = x;
    this.y = y;
    const count = x.length,
      starts = new Int32Array(CELLS * CELLS + 1);
    const cells = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      cells[i] = this.cell(y[i]) * CELLS + this.cell(x[i]);
      starts[cells[i] + 1]++;
    }
    for (let i = 0; i < CELLS * CELLS; i++) starts[i + 1] += starts[i];
    const next = starts.slice(),
      order = new Int32Array(count);
    for (let i = 0; i < count; i++) order[next[cells[i]]++] = i;
    this.starts = starts;
    this.order = order;
  }

  /** @param {number} value */
  cell(value) {
    return Math.min(CELLS - 1, Math.max(0, Math.floor(((value + 1) / 2) * CELLS)));
  }

  /**
   * The nearest point within a reach; -1 for none.
   * @param {number} x
   * @param {number} y
   * @param {number} reach in map units
   */
  find(x, y, reach) {
    let best = -1,
      least = reach * reach;
    for (let row = this.cell(y - reach); row <= this.cell(y + reach); row++) {
      const from = this.starts[row * CELLS + this.cell(x - reach)],
        to = this.starts[row * CELLS + this.cell(x + reach) + 1];
      for (let at = from; at < to; at++) {
        const i = this.order[at],
          far = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
        if (far < least) [best, least] = [i, far];
      }
    }
    return best;
  }
}

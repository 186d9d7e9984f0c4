// A crosshair over a picture, for those who point without a mouse. Places are shares of the sides.

const STEP_PX = 10, FINE_PX = 1; // fine steps while Shift is held
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const within = (share) => Math.min(0.9999, Math.max(0, share)); // 1 is the first pixel outside

/** Let the arrow keys on `surface` move `cross` from x, y; Enter gives `act` where it stands. */
export function steer(surface, cross, start, act) {
  let [x, y] = start.map(within);
  const place = () => {
    cross.style.left = `${100 * x}%`;
    cross.style.top = `${100 * y}%`;
  };
  place();
  surface.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    if (!move && event.key !== "Enter") return;
    event.preventDefault(); // arrow keys scroll
    if (!move) return act(x, y);
    const step = event.shiftKey ? FINE_PX : STEP_PX;
    x = within(x + (move[0] * step) / surface.clientWidth);
    y = within(y + (move[1] * step) / surface.clientHeight);
    place();
  };
}

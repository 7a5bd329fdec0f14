// A live map on one canvas. Its ground is drawn here: a grid in metres, so that it needs no
// network; where tiles are set they lie below the same marks. Web Mercator, as every tile server.

const EARTH_M = 6371008.8;
const TILE = 256;
const MIN_ZOOM = 2;
const MAX_ZOOM = 19;
const CLOSEST_FIT = 16;
const STEP = 60;
const SPACINGS_M = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 500000, 1000000];

// A place in the unit square of the world: x to the east, y to the south.
function project({ latitude, longitude }) {
  const sine = Math.max(-0.9999, Math.min(0.9999, Math.sin((latitude * Math.PI) / 180)));
  return { x: longitude / 360 + 0.5, y: 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI) };
}

function latitudeOf(y) {
  return (Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI;
}

export function distanceText(metres) {
  if (metres < 950) return `${Math.max(10, Math.round(metres / 10) * 10)} m`;
  return `${(metres / 1000).toFixed(metres < 9500 ? 1 : 0)} km`;
}

export class LiveMap {
  // canvas: the element. tiles: "https://…/{z}/{x}/{y}.png" or "". label: text for a screen reader.
  constructor(canvas, { tiles = "" } = {}) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.tiles = tiles;
    this.images = new Map();
    this.center = { x: 0.5, y: 0.5 };
    this.zoom = MIN_ZOOM;
    this.follows = true;
    this.courier = null;
    this.shown = null;
    this.destination = null;
    this.trail = [];
    this.pointers = new Map();
    new ResizeObserver(() => this.resize()).observe(canvas);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.later());
    this.listen();
    this.resize();
  }

  // -- What it shows

  show({ courier, destination }) {
    const first = !this.courier;
    if (courier) {
      this.courier = courier;
      const last = this.trail.at(-1);
      if (!last || last.latitude !== courier.latitude || last.longitude !== courier.longitude) this.trail.push(courier);
      if (this.trail.length > 500) this.trail.shift();
      if (first || window.matchMedia("(prefers-reduced-motion: reduce)").matches) this.shown = courier;
      else this.glide();
    }
    this.destination = destination ?? this.destination;
    if (this.follows) this.fit();
    this.later();
  }

  // From where it was to where it is, in half a second.
  glide() {
    const from = this.shown ?? this.courier;
    const to = this.courier;
    const started = performance.now();
    const step = (at) => {
      if (this.courier !== to) return;
      const part = Math.min(1, (at - started) / 500);
      this.shown = {
        latitude: from.latitude + (to.latitude - from.latitude) * part,
        longitude: from.longitude + (to.longitude - from.longitude) * part,
      };
      this.draw();
      if (part < 1) window.requestAnimationFrame(step);
    };
    window.requestAnimationFrame(step);
  }

  fit() {
    const places = [this.courier, this.destination].filter(Boolean).map(project);
    if (!places.length) return;
    const xs = places.map((place) => place.x);
    const ys = places.map((place) => place.y);
    this.center = { x: (Math.min(...xs) + Math.max(...xs)) / 2, y: (Math.min(...ys) + Math.max(...ys)) / 2 };
    const across = Math.max((Math.max(...xs) - Math.min(...xs)) / (this.width * 0.7), (Math.max(...ys) - Math.min(...ys)) / (this.height * 0.6), 1e-12);
    this.setZoom(Math.min(CLOSEST_FIT, Math.log2(1 / (across * TILE))));
  }

  home() {
    this.follows = true;
    this.fit();
    this.later();
  }

  // -- Moving about

  setZoom(zoom) {
    this.zoom = Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, zoom));
    this.later();
  }

  zoomBy(steps, at = { x: this.width / 2, y: this.height / 2 }) {
    const before = this.placeAt(at);
    this.follows = false;
    this.setZoom(this.zoom + steps);
    const after = this.placeAt(at);
    this.center = { x: this.center.x + before.x - after.x, y: this.center.y + before.y - after.y };
  }

  pan(right, down) {
    this.follows = false;
    this.center = { x: this.center.x + right / this.scale, y: Math.max(0, Math.min(1, this.center.y + down / this.scale)) };
    this.later();
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
      if (event.key in moves) this.pan(...moves[event.key]);
      else if (event.key === "+" || event.key === "=") this.zoomBy(1);
      else if (event.key === "-") this.zoomBy(-1);
      else if (event.key === "0" || event.key === "Home") this.home();
      else return;
      event.preventDefault();
    });
    canvas.addEventListener("wheel", (event) => {
      // The page scrolls as everywhere; with a key held down the wheel is the map's.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? 0.5 : -0.5, { x: event.offsetX, y: event.offsetY });
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    });
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
  }

  moved(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.offsetX, y: event.offsetY };
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const spread = (one) => Math.max(1, Math.hypot(one.x - other.x, one.y - other.y));
      this.zoomBy(Math.log2(spread(now) / spread(before)), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    } else {
      this.pan(before.x - now.x, before.y - now.y);
    }
    this.pointers.set(event.pointerId, now);
  }

  // -- Places on the canvas

  get scale() {
    return TILE * 2 ** this.zoom;
  }

  placeAt({ x, y }) {
    return { x: this.center.x + (x - this.width / 2) / this.scale, y: this.center.y + (y - this.height / 2) / this.scale };
  }

  pointOf(place) {
    const { x, y } = project(place);
    return { x: (x - this.center.x) * this.scale + this.width / 2, y: (y - this.center.y) * this.scale + this.height / 2 };
  }

  get metresPerPixel() {
    return (Math.cos((latitudeOf(this.center.y) * Math.PI) / 180) * 2 * Math.PI * EARTH_M) / this.scale;
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.canvas.clientWidth || 1;
    this.height = this.canvas.clientHeight || 1;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.follows) this.fit();
    this.draw();
  }

  later() {
    if (this.waiting) return;
    this.waiting = window.requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }

  // -- Drawing

  color(name) {
    return getComputedStyle(this.canvas).getPropertyValue(name).trim();
  }

  draw() {
    const { pen } = this;
    pen.fillStyle = this.color("--map-ground");
    pen.fillRect(0, 0, this.width, this.height);
    if (!this.courier && !this.destination) return;
    if (this.tiles) this.drawTiles();
    else this.drawGrid();
    this.drawTrail();
    if (this.destination) this.drawMark(this.pointOf(this.destination), this.color("--map-goal"), "square");
    if (this.shown) this.drawMark(this.pointOf(this.shown), this.color("--map-courier"), "disc");
    this.drawScale();
  }

  spacing(least) {
    const wanted = least * this.metresPerPixel;
    return SPACINGS_M.find((metres) => metres >= wanted) ?? SPACINGS_M.at(-1);
  }

  drawGrid() {
    const { pen } = this;
    const step = this.spacing(44) / this.metresPerPixel;
    // Counted from the world's corner, so that the lines stand still under what moves.
    const left = (this.center.x * this.scale - this.width / 2) / step;
    const top = (this.center.y * this.scale - this.height / 2) / step;
    for (const [first, count, upright] of [[left, this.width / step, true], [top, this.height / step, false]]) {
      for (let line = Math.ceil(first); line <= first + count; line += 1) {
        const at = Math.round((line - first) * step) + 0.5;
        pen.strokeStyle = this.color(line % 5 ? "--map-line" : "--map-street");
        pen.lineWidth = line % 5 ? 1 : 3;
        pen.beginPath();
        pen.moveTo(upright ? at : 0, upright ? 0 : at);
        pen.lineTo(upright ? at : this.width, upright ? this.height : at);
        pen.stroke();
      }
    }
  }

  drawTiles() {
    const zoom = Math.round(this.zoom);
    const count = 2 ** zoom;
    const size = this.scale / count;
    const from = this.placeAt({ x: 0, y: 0 });
    const to = this.placeAt({ x: this.width, y: this.height });
    for (let x = Math.floor(from.x * count); x <= Math.floor(to.x * count); x += 1) {
      for (let y = Math.max(0, Math.floor(from.y * count)); y <= Math.min(count - 1, Math.floor(to.y * count)); y += 1) {
        const image = this.tile(zoom, ((x % count) + count) % count, y);
        if (!image.complete || !image.naturalWidth) continue;
        this.pen.drawImage(image, (x / count - from.x) * this.scale, (y / count - from.y) * this.scale, size + 0.5, size + 0.5);
      }
    }
  }

  tile(z, x, y) {
    const url = this.tiles.replace("{z}", z).replace("{x}", x).replace("{y}", y);
    let image = this.images.get(url);
    if (!image) {
      if (this.images.size > 200) this.images.delete(this.images.keys().next().value);
      image = new Image();
      image.addEventListener("load", () => this.later());
      image.src = url;
      this.images.set(url, image);
    }
    return image;
  }

  drawTrail() {
    if (this.trail.length < 2) return;
    const { pen } = this;
    pen.strokeStyle = this.color("--map-trail");
    pen.lineWidth = 4;
    pen.lineJoin = "round";
    pen.lineCap = "round";
    pen.beginPath();
    for (const place of this.trail.slice(0, -1)) {
      const { x, y } = this.pointOf(place);
      pen.lineTo(x, y);
    }
    const { x, y } = this.pointOf(this.shown);
    pen.lineTo(x, y);
    pen.stroke();
  }

  drawMark({ x, y }, color, shape) {
    const { pen } = this;
    pen.beginPath();
    if (shape === "disc") pen.arc(x, y, 11, 0, 2 * Math.PI);
    else pen.rect(x - 9, y - 9, 18, 18);
    pen.fillStyle = color;
    pen.strokeStyle = this.color("--map-rim");
    pen.lineWidth = 4;
    pen.stroke();
    pen.fill();
  }

  drawScale() {
    const { pen } = this;
    const metres = this.spacing(70);
    const length = metres / this.metresPerPixel;
    const y = this.height - 16;
    pen.strokeStyle = this.color("--map-ink");
    pen.fillStyle = this.color("--map-ink");
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(14, y - 5);
    pen.lineTo(14, y);
    pen.lineTo(14 + length, y);
    pen.lineTo(14 + length, y - 5);
    pen.stroke();
    pen.font = "12px system-ui, sans-serif";
    pen.fillText(metres < 1000 ? `${metres} m` : `${metres / 1000} km`, 20, y - 6);
  }
}

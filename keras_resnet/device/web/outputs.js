// The contract's outputs: how a network's numbers become the answer that classes.py, labels.py, boxes.py and mask.py give.

const CANDIDATES = 1000;  // boxes, the likeliest, that suppression looks at
export const NO_CLASS = 255;

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** To so many digits behind the point; halves go to the even one, as in Python. */
function rounded(x, digits) {
  const exact = x.toFixed(100), end = exact.length - 100 + digits;  // a half has no more digits than that
  return Number(/^50*$/.test(exact.slice(end)) && exact[end - 1] % 2 === 0 ? exact.slice(0, end) : x.toFixed(digits));
}

function finite(values) {
  if (values.every(Number.isFinite)) return values;
  throw new Error("the network's answer is no number (NaN or infinite); its weights are damaged or it overflows");
}

/** Indices, the largest value first; of equal ones the one that comes first. */
function order(values) {
  return Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
}

class Classes {
  constructor(saved) {
    Object.assign(this, saved);
  }

  probabilities(scores) {
    const values = Float64Array.from(scores);
    return finite(this.scores === "probabilities" ? values : this._activation(values));
  }

  _activation(logits) {
    const largest = logits.reduce((a, b) => Math.max(a, b));
    const exponentials = logits.map((x) => Math.exp(x - largest));
    const sum = exponentials.reduce((a, b) => a + b);
    return exponentials.map((x) => x / sum);
  }

  answer([scores], top) {
    const probabilities = this.probabilities(scores);
    const likeliest = order(probabilities).slice(0, top);
    return {top: likeliest.map((i) => ({label: this.labels[i], probability: rounded(probabilities[i], 6)}))};
  }
}

class Labels extends Classes {
  _activation(logits) {
    return logits.map(sigmoid);
  }

  answer(outputs, top) {
    const probabilities = this.probabilities(outputs[0]);
    const labels = this.labels.filter((_, i) => probabilities[i] >= (this.thresholds[i] ?? 0.5));
    return {labels, ...super.answer(outputs, top)};
  }
}

class Boxes {
  constructor(saved) {
    Object.assign(this, saved);
    this.tensors = ["location", "score"];
    this.cells = saved.levels.flatMap(([rows, columns, stride]) => Array.from({length: rows * columns}, (_, i) =>
      ({y: (Math.floor(i / columns) + 0.5) * stride, x: (i % columns + 0.5) * stride, stride})));
  }

  /** {label, probability, box: [top, left, bottom, right]} of what is on a picture, in pixels of the network's input. */
  decode(location, score) {
    [location, score].forEach(finite);
    const probabilities = Float64Array.from(score, sigmoid);
    const likeliest = order(probabilities).slice(0, CANDIDATES).filter((i) => probabilities[i] >= this.threshold);
    let left = likeliest.map((i) => {
      const cell = Math.floor(i / this.labels.length);
      return {label: i % this.labels.length, probability: probabilities[i], box: this._placed(location, cell)};
    });
    const kept = [];
    while (left.length && kept.length < this.most) {
      const [first, ...others] = left;
      kept.push(first);
      left = others.filter((other) => other.label !== first.label || !(overlap(first.box, other.box) >= this.overlap));  // of two points it is no number
    }
    return kept;
  }

  _placed(location, cell) {
    const {y, x, stride} = this.cells[cell];
    const [dy, dx, h, w] = location.subarray(4 * cell, 4 * cell + 4);
    const {fround} = Math;
    const middle = [fround(y + fround(dy * stride)), fround(x + fround(dx * stride))];
    const half = [h, w].map((side) => fround(fround(fround(Math.exp(side)) * stride) / 2));
    return [...middle.map((at, i) => fround(at - half[i])), ...middle.map((at, i) => fround(at + half[i]))];
  }

  answer([location, score], top, {input, size}) {
    const found = this.decode(location, score);
    const boxes = input.unplaced(found.map(({box}) => box), size);
    return {boxes: found.map(({label, probability}, i) => {
      const [y, x, bottom, right] = boxes[i].map((side) => rounded(side, 2));
      return {label: this.labels[label], probability: rounded(probability, 6), left: x, top: y, right, bottom};
    })};
  }
}

/** Intersection over union of [top, left, bottom, right]. */
function overlap(a, b) {
  const height = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), width = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(height, 0) * Math.max(width, 0);
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return shared / (area(a) + area(b) - shared);
}

class Mask {
  constructor(saved) {
    Object.assign(this, saved);
    this.cells = saved.size;
  }

  /** The class of each pixel, uint8 [height, width], by scores [rows, columns, classes]; of equal ones the first. */
  decode(scores, height, width) {
    finite(scores);
    const [rows, columns] = this.cells, classes = this.labels.length, {fround} = Math;
    const down = between(rows, height), across = between(columns, width);
    const best = new Float32Array(height * width).fill(-Infinity), made = new Uint8Array(height * width);
    const line = new Float32Array(columns);
    for (let label = 0; label < classes; label++) {
      for (let y = 0; y < height; y++) {
        const upper = down.first[y] * columns, lower = down.last[y] * columns, part = down.part[y];
        for (let column = 0; column < columns; column++) {
          const top = scores[(upper + column) * classes + label], bottom = scores[(lower + column) * classes + label];
          line[column] = top + fround(fround(bottom - top) * part);
        }
        for (let x = 0, at = y * width; x < width; x++, at++) {
          const left = line[across.first[x]];
          const value = fround(left + fround(fround(line[across.last[x]] - left) * across.part[x]));
          if (value > best[at]) {
            best[at] = value;
            made[at] = label;
          }
        }
      }
    }
    return made;
  }

  /** The parts of the picture, the largest first, and the mask itself. */
  answer([scores], top, {input, size}) {
    const [first, last] = input.shown(size);
    const [height, width] = [last[0] - first[0], last[1] - first[1]];
    const shown = this.decode(scores, height, width), mask = new Uint8Array(size[0] * size[1]).fill(NO_CLASS);
    for (let y = 0; y < height; y++) {
      mask.set(shown.subarray(y * width, (y + 1) * width), (first[0] + y) * size[1] + first[1]);
    }
    const counts = new Float64Array(this.labels.length);
    for (const one of shown) counts[one]++;
    const there = order(counts).filter((i) => counts[i]);
    return {parts: there.map((i) => ({label: this.labels[i], part: rounded(counts[i] / mask.length, 6)})), mask};
  }
}

/** Of each of `size` places: the cells before and behind it, of `count`, and how far it is between them. */
function between(count, size) {
  const places = Array.from({length: size}, (_, i) => i * ((count - 1) / Math.max(1, size - 1)));
  const first = places.map((place) => Math.min(Math.floor(place), count - 1));
  const last = first.map((cell) => Math.min(cell + 1, count - 1));
  return {first, last, part: Float32Array.from(places, (place, i) => place - first[i])};
}

export const OUTPUTS = {classes: Classes, labels: Labels, boxes: Boxes, mask: Mask};

// The contract's input `picture`, byte for byte as picture.py makes it of decoded pixels: Pillow 13's bilinear resize.

const PRECISION = 22;  // bits after the point: 32, less 8 of a pixel, less 2 that Pillow keeps free
const HALF = 1 << (PRECISION - 1);
const LONGEST = 64;

/** The whole number nearest to x; halves go to the even one, as in Python. */
export function rint(x) {
  const low = Math.floor(x), part = x - low;
  return part < 0.5 || (part === 0.5 && low % 2 === 0) ? low : low + 1;
}

/** Which source pixels, with which weights, make each of `count` output pixels from `from` on: Pillow's `precompute_coeffs`. */
function taps(sourceSize, size, from, count) {
  const scale = sourceSize / size;
  const support = Math.max(scale, 1);  // widens when it shrinks: antialiasing
  return Array.from({length: count}, (_, i) => {
    const centre = (from + i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(sourceSize, Math.trunc(centre + support + 0.5));
    const exact = Array.from({length: end - first}, (_, tap) =>
      Math.max(0, 1 - Math.abs((first + tap - centre + 0.5) * (1 / support))));
    let sum = 0;
    for (const weight of exact) sum += weight;
    return {first, weights: exact.map((weight) => Math.trunc(0.5 + weight / sum * (1 << PRECISION)))};
  });
}

const byte = (sum) => Math.min(255, sum >> PRECISION);

function alongRows(source, width, channels, rows, columns) {
  const made = new Uint8Array(rows * columns.length * channels);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (const {first, weights} of columns) {
      for (let channel = 0; channel < channels; channel++) {
        let sum = HALF, from = (row * width + first) * channels + channel;
        for (const weight of weights) {
          sum += source[from] * weight;
          from += channels;
        }
        made[at++] = byte(sum);
      }
    }
  }
  return made;
}

function alongColumns(source, stride, rows) {
  const made = new Uint8Array(rows.length * stride), sums = new Int32Array(stride);
  rows.forEach(({first, weights}, i) => {
    sums.fill(HALF);
    weights.forEach((weight, tap) => {
      const from = (first + tap) * stride;
      for (let x = 0; x < stride; x++) sums[x] += source[from + x] * weight;
    });
    for (let x = 0; x < stride; x++) made[i * stride + x] = byte(sums[x]);
  });
  return made;
}

/** From any picture to the network's input; `saved` is the contract's `input`. */
export class Picture {
  constructor(saved) {
    Object.assign(this, saved);
    const {height, width, crop_fraction: part, channels} = saved;
    this.shape = [height, width, channels];
    this.covered = [rint(height / part), rint(width / part)];
  }

  /** Size [height, width] of a picture before the crop. */
  resized(height, width) {
    const [toHeight, toWidth] = this.covered;
    if (this.resize === "stretch") return this.covered;
    const [shorter, longer] = [width * toHeight, height * toWidth].sort((a, b) => a - b);
    if (longer > LONGEST * shorter) {
      throw new Error(`${width}x${height} pixels: too long for an input of ${this.width}x${this.height}; cut the picture into parts`);
    }
    if (width * toHeight >= height * toWidth) {
      return [toHeight, Math.max(toWidth, Math.floor((width * toHeight + (height >> 1)) / height))];
    }
    return [Math.max(toHeight, Math.floor((height * toWidth + (width >> 1)) / width)), toWidth];
  }

  /** uint8 [height, width, channels] of an upright picture: {width, height, rgba}; alpha is dropped. */
  pixels({width, height, rgba}) {
    const [toHeight, toWidth] = this.resized(height, width);
    const rows = taps(height, toHeight, (toHeight - this.height) >> 1, this.height);
    const columns = taps(width, toWidth, (toWidth - this.width) >> 1, this.width);
    const source = this._channels(width * height, rgba);
    // Pillow 13's choice, for speed. Each pass rounds to 8 bits, so the order shows.
    if (height > toHeight && height - toHeight > 2 * (width - toWidth)) {
      return alongRows(alongColumns(source, width * this.channels, rows), width, this.channels, this.height, columns);
    }
    // Of the rows only those that the crop needs.
    const begin = rows[0].first, last = rows.at(-1), end = last.first + last.weights.length;
    const wanted = source.subarray(begin * width * this.channels, end * width * this.channels);
    const between = alongRows(wanted, width, this.channels, end - begin, columns);
    return alongColumns(between, this.width * this.channels, rows.map((row) => ({...row, first: row.first - begin})));
  }

  _channels(count, rgba) {
    const made = new Uint8Array(count * this.channels);
    for (let i = 0; i < count; i++) {
      const red = rgba[4 * i], green = rgba[4 * i + 1], blue = rgba[4 * i + 2];
      if (this.channels === 1) {
        made[i] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;  // Pillow's luma, ITU-R 601 in 16 bits
      } else {
        made[3 * i] = red;
        made[3 * i + 1] = green;
        made[3 * i + 2] = blue;
      }
    }
    return made;
  }

  /** float32 `x` of a pixel of a channel. */
  scaled(pixel, channel) {
    const of = (value) => Math.fround(Array.isArray(value) ? value[channel] : value);
    return Math.fround(Math.fround(pixel - of(this.mean)) / of(this.std));
  }

  /** Boxes [top, left, bottom, right] of the input, on a picture of a size [height, width]. */
  unplaced(boxes, [height, width]) {
    const [toHeight, toWidth] = this.resized(height, width);
    const corner = [(toHeight - this.height) >> 1, (toWidth - this.width) >> 1];
    const scale = [toHeight / height, toWidth / width];
    return boxes.map((box) => box.map((side, i) => Math.fround((side + corner[i % 2]) / scale[i % 2])));
  }

  /** [[top, left], [bottom, right]] of what the input shows of a picture, in whole pixels. */
  shown(size) {
    const [[top, left, bottom, right]] = this.unplaced([[0, 0, this.height, this.width]], size);
    const first = [Math.max(0, rint(top)), Math.max(0, rint(left))];
    const last = [Math.min(size[0], rint(bottom)), Math.min(size[1], rint(right))];
    return [first, last.map((end, i) => Math.max(first[i] + 1, end))];
  }
}

// The contract's input `sound`, byte for byte as sound.py makes it: in double precision.

import {rint} from "./picture.js";

const PCM = 1, EXTENSIBLE = 0xfffe;  // formats of samples; of the second the format itself comes later

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

/** Samples in [-1, 1), the channels' mean, and their rate, of the bytes of a WAV file of 8, 16, 24 or 32 bits PCM. */
export function readWav(content) {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const name = (place) => String.fromCharCode(...content.subarray(place, place + 4));
  const refuse = () => { throw new Error("This is no WAV file of 8, 16, 24 or 32 bits PCM."); };
  if (content.length < 12 || name(0) !== "RIFF" || name(8) !== "WAVE") refuse();
  let format = null;
  for (let place = 12; place + 8 <= content.length;) {
    const size = view.getUint32(place + 4, true), inside = place + 8;
    if (name(place) === "fmt " && size >= 16 && inside + 16 <= content.length) {
      const said = view.getUint16(inside, true), later = said === EXTENSIBLE && size >= 26 && inside + 26 <= content.length;
      if ((later ? view.getUint16(inside + 24, true) : said) !== PCM) refuse();
      const [channels, rate] = [view.getUint16(inside + 2, true), view.getUint32(inside + 4, true)];
      format = {channels, rate, bytes: (view.getUint16(inside + 14, true) + 7) >> 3};
    }
    if (name(place) === "data") {
      const {channels, rate, bytes} = format ?? refuse();
      if (channels < 1 || rate < 1 || bytes < 1 || bytes > 4) refuse();
      const count = Math.floor((Math.min(content.length, inside + size) - inside) / (bytes * channels));
      const sample = SAMPLES[bytes], loudest = LOUDEST[bytes];
      const samples = Float64Array.from({length: count}, (_, i) => {
        let all = 0;
        for (let channel = 0; channel < channels; channel++) all += sample(view, inside + (i * channels + channel) * bytes);
        return all / channels / loudest;
      });
      return {rate, samples};
    }
    place = inside + size + size % 2;
  }
  return refuse();
}

const LOUDEST = {1: 128, 2: 32768, 3: 2147483648, 4: 2147483648};
const SAMPLES = {
  1: (view, at) => view.getUint8(at) - 128,
  2: (view, at) => view.getInt16(at, true),
  3: (view, at) => (view.getUint8(at) << 8) | (view.getInt16(at + 1, true) << 16),  // as the upper three bytes of four
  4: (view, at) => view.getInt32(at, true),
};

/** From a recording to the network's input; `saved` is the contract's `input`. */
export class Sound {
  constructor(saved) {
    Object.assign(this, saved);
    const {window, rate, bands, lowest, highest} = saved;
    this.samples = rint(rate * saved.seconds);
    this.shape = bands ? [Math.floor((this.samples - window) / saved.hop) + 1, bands, 1] : [1, this.samples, 1];
    let length = 1;  // of the Fourier transform
    while (length < window) length *= 2;
    this.length = length;
    this.hann = Float64Array.from({length: window}, (_, i) => 0.5 - 0.5 * Math.cos(2 * Math.PI * i / window));
    this.full = (sum(this.hann) / 2) ** 2;  // power of a sine of full scale
    this.turns = Array.from({length: length / 2}, (_, i) =>
      [Math.cos(2 * Math.PI * i / length), -Math.sin(2 * Math.PI * i / length)]);
    const [first, last] = [lowest, highest].map((f) => 2595 * Math.log10(1 + f / 700));
    const hertz = Array.from({length: bands + 2}, (_, i) => 700 * (10 ** ((first + i * ((last - first) / (bands + 1))) / 2595) - 1));
    this.triangles = Array.from({length: bands}, (_, band) => Float64Array.from({length: length / 2 + 1}, (_, i) => {
      const frequency = i * (rate / length);
      const rising = (frequency - hertz[band]) / (hertz[band + 1] - hertz[band]);
      const falling = (hertz[band + 2] - frequency) / (hertz[band + 2] - hertz[band + 1]);
      return Math.max(0, Math.min(rising, falling));
    }));
  }

  /** uint8 [moments, bands], or of the wave by the mu law, of samples in [-1, 1), of which the middle is heard. */
  pixels(samples) {
    const heard = this._middle(samples);
    if (!this.bands) {
      return Uint8Array.from(heard, (x) =>
        rint(128 + 127 * Math.sign(x) * (Math.log1p(255 * Math.min(1, Math.abs(x))) / Math.log(256))));
    }
    const [moments, bands] = this.shape, made = new Uint8Array(moments * bands);
    const floor = 10 ** (this.quiet / 10);
    for (let moment = 0; moment < moments; moment++) {
      const power = this._power(heard, moment * this.hop);
      for (let band = 0; band < bands; band++) {
        let all = 0;
        for (let i = 0; i < power.length; i++) all += power[i] * this.triangles[band][i];
        const decibels = 10 * Math.log10(all + floor);
        const step = rint((decibels - this.quiet) / (this.loud - this.quiet) * 255);
        made[moment * bands + band] = Math.min(255, Math.max(0, step));
      }
    }
    return made;
  }

  _middle(given) {
    const before = Math.floor(Math.abs(given.length - this.samples) / 2);
    if (given.length >= this.samples) return given.subarray(before, before + this.samples);
    const heard = new Float64Array(this.samples);
    heard.set(given, before);
    return heard;
  }

  /** The power spectrum of a moment, by Cooley and Tukey's transform. */
  _power(heard, start) {
    const {length, window, hann, turns, full} = this;
    const real = new Float64Array(length), imaginary = new Float64Array(length);
    const bits = Math.log2(length);
    for (let i = 0; i < window; i++) {
      let turned = 0;
      for (let bit = 0; bit < bits; bit++) turned |= ((i >> bit) & 1) << (bits - 1 - bit);
      real[turned] = heard[start + i] * hann[i];
    }
    for (let half = 1; half < length; half *= 2) {
      for (let first = 0; first < length; first += 2 * half) {
        for (let i = 0; i < half; i++) {
          const [c, s] = turns[i * (length / 2 / half)];
          const low = first + i, high = low + half;
          const re = real[high] * c - imaginary[high] * s, im = real[high] * s + imaginary[high] * c;
          real[high] = real[low] - re;
          imaginary[high] = imaginary[low] - im;
          real[low] += re;
          imaginary[low] += im;
        }
      }
    }
    return Float64Array.from({length: length / 2 + 1}, (_, i) => (real[i] * real[i] + imaginary[i] * imaginary[i]) / full);
  }

  /** float32 `x` of a byte. */
  scaled(pixel) {
    return pixel / 128 - 1;
  }
}

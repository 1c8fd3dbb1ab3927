// Answers drawn over the pictures that they are of, as drawing.py does it, as URLs of pictures.

import {NO_CLASS} from "./outputs.js";

// Okabe and Ito's colours, which colour-blind people can tell apart.
const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442"];
const OPAQUE = 0.55;  // a mask over its picture
const CROWDED = 40;  // boxes, from which on they have no names

async function url(canvas) {
  return URL.createObjectURL(await canvas.convertToBlob());
}

/** A picture {width, height, rgba} with its boxes or its mask; null where an answer has no place on it, but without `output` the picture alone. */
export async function drawn({width, height, rgba}, answer, output = null) {
  if (output && !answer.boxes && !answer.mask) return null;
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
  const pixels = new ImageData(new Uint8ClampedArray(rgba), width, height);
  if (answer.mask) cover(pixels.data, answer.mask, output.colours);
  context.putImageData(pixels, 0, 0);
  if (answer.boxes) outline(context, answer.boxes, output.labels);
  return url(canvas);
}

function cover(data, mask, colours) {
  mask.forEach((label, i) => {
    if (label === NO_CLASS) return;
    for (let channel = 0; channel < 3; channel++) {
      data[4 * i + channel] = Math.round(data[4 * i + channel] * (1 - OPAQUE) + colours[label][channel] * OPAQUE);
    }
  });
}

function outline(context, boxes, labels) {
  const longer = Math.max(context.canvas.width, context.canvas.height), size = Math.max(10, Math.round(longer / 45));
  context.lineWidth = Math.max(1, Math.round(longer / 300));
  context.font = `${size}px system-ui, sans-serif`;
  context.textBaseline = "top";
  for (const {label, probability, left, top, right, bottom} of [...boxes].reverse()) {  // the likeliest above the others
    const colour = PALETTE[labels.indexOf(label) % PALETTE.length];
    context.strokeStyle = context.fillStyle = colour;
    context.strokeRect(left, top, right - left, bottom - top);
    if (boxes.length > CROWDED) continue;
    const text = `${label} ${Math.round(100 * probability)} %`, x = Math.max(0, left), y = Math.max(0, top);
    context.fillRect(x, y, context.measureText(text).width + 2, size + 2);
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    context.fillStyle = 0.299 * red + 0.587 * green + 0.114 * blue > 128 ? "black" : "white";
    context.fillText(text, x + 1, y + 1);
  }
}

/** What a network hears, a log-mel picture of bytes, time to the right, pitch upwards; or a wave. */
export async function heard(bytes, [moments, bands]) {
  const [width, height] = [336, 240], pixels = new ImageData(width, height);
  const paint = (x, y, value) => pixels.data.set([value, value, value, 255], 4 * (y * width + x));
  if (moments === 1) {  // a wave: black where it is
    for (let x = 0; x < width; x++) {
      const part = bytes.subarray(Math.floor(x * bytes.length / width), Math.max(1, Math.ceil((x + 1) * bytes.length / width)));
      const [low, high] = [Math.min(...part), Math.max(...part)].map((value) => height - 1 - Math.floor(value * (height - 1) / 255));
      for (let y = 0; y < height; y++) paint(x, y, high <= y && y <= low ? 0 : 255);
    }
  } else {
    for (let y = 0; y < height; y++) {
      const band = bands - 1 - Math.floor(y * bands / height);
      for (let x = 0; x < width; x++) paint(x, y, bytes[Math.floor(x * moments / width) * bands + band]);
    }
  }
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return url(canvas);
}

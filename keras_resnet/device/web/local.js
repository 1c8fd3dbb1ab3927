// Answers the page's questions in the browser itself: LiteRT.js runs the network, and nothing leaves this machine.

import {loadAndCompile, loadLiteRt, Tensor} from "@litertjs/core";
import {Contract, typed} from "./contract.js";
import {drawn, heard} from "./drawing.js";
import {readWav} from "./sound.js";
import {readText} from "./text.js";

const CAMERA = 640;  // pixels, of a frame's width
const LONGEST = 65535;  // pixels of a side; longer pictures would be drawn black

async function fetched(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  return response;
}

const site = await (await fetched("site.json")).json();
const contract = new Contract(site.contract, site.tensors);
const {input} = contract;
const kind = site.contract.input.kind;
// WebAssembly's plain instructions mean the same on every processor; the relaxed ones of LiteRT's other build need not.
await loadLiteRt(new URL(site.runtime, import.meta.url).href);
const model = await loadAndCompile(new Uint8Array(await (await fetched("model.tflite")).arrayBuffer()), {accelerator: "wasm"});
const names = model.getOutputDetails().map(({name}) => name);

/** What the network makes of a typed array: its outputs, in the contract's order. */
export async function invoke(quantized) {
  const given = new Tensor(quantized, [1, ...input.shape]);
  const made = await model.run(given);
  const {tensors} = contract.output;
  const outputs = (tensors ? tensors.map((name) => made[names.indexOf(name)]) : [made[0]]).map((tensor) => tensor.toTypedArray().slice());
  [given, ...made].forEach((tensor) => tensor.delete());
  return outputs;
}

/** {width, height, rgba} of a picture file, turned upright, its colours as they are stored. */
async function decoded(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image"});
  } catch {
    throw new Error("This is no picture that this browser can read; JPEG and PNG are.");
  }
  if (Math.max(bitmap.width, bitmap.height) > LONGEST) {
    throw new Error(`${bitmap.width}x${bitmap.height} pixels: a browser draws sides up to ${LONGEST}; cut the picture into parts.`);
  }
  return pixels(bitmap, bitmap.width, bitmap.height);
}

function pixels(source, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
  context.drawImage(source, 0, 0, width, height);
  return {width, height, rgba: context.getImageData(0, 0, width, height).data};
}

/** Of a file: what enters the network, [height, width] of a picture, and the picture itself. */
export async function prepared(file) {
  if (kind === "text") return {made: input.ids(readText(new Uint8Array(await file.arrayBuffer())))};
  if (kind === "sound") {
    const {rate, samples} = readWav(new Uint8Array(await file.arrayBuffer()));
    if (rate !== input.rate) throw new Error(`${rate} samples a second; this model hears ${input.rate}. ffmpeg -i IN.wav -ar ${input.rate} OUT.wav makes them.`);
    return {made: input.pixels(samples)};
  }
  return ofPicture(await decoded(file));
}

function ofPicture(picture) {
  return {made: input.pixels(picture), size: [picture.height, picture.width], picture};
}

async function answered(prepare) {
  const began = performance.now();
  const {made, size, picture} = await prepare();
  const quantized = contract.quantized(made), middle = performance.now();
  const outputs = await invoke(quantized), ended = performance.now();
  const answer = contract.answer(outputs, size);
  const shown = kind === "sound" ? await heard(made, input.shape) : picture && await drawn(picture, answer, contract.output);
  return {...answer, mask: undefined, preprocessing_ms: middle - began, inference_ms: ended - middle, picture: shown};
}

let video = null;  // a promise of one that plays

async function opened() {
  const {mediaDevices} = navigator;
  if (!mediaDevices) throw new Error("Browsers give a camera to pages from localhost or https alone; choose a picture.");
  const stream = await mediaDevices.getUserMedia({video: {facingMode: "environment", width: CAMERA}});
  const made = Object.assign(document.createElement("video"), {srcObject: stream, muted: true, playsInline: true});
  await made.play();
  return made;
}

async function frame() {
  const shown = await (video ??= opened());  // the camera may rest before its last frame is answered
  await new Promise(requestAnimationFrame);
  const picture = pixels(shown, shown.videoWidth, shown.videoHeight);
  const answer = await answered(async () => ofPicture(picture));
  return {...answer, picture: answer.picture ?? await drawn(picture, answer)};
}

/** Lets the camera go. */
export function rest() {
  video?.then(({srcObject}) => srcObject.getTracks().forEach((track) => track.stop()), () => {});
  video = null;
}

const alike = (answer, expected, most = 0.011) => {
  if (Array.isArray(expected)) return answer.length === expected.length && expected.every((one, i) => alike(answer[i], one));
  if (typeof expected === "number") return Math.abs(answer - expected) < most;
  if (typeof expected !== "object") return answer === expected;
  return Object.keys(expected).every((key) => alike(answer[key], expected[key], ["probability", "part"].includes(key) ? 1.1e-6 : 0.011));
};

async function digest(mask) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", mask));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const bytesOf = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
const same = (a, b) => a.length === b.length && a.every((value, i) => Object.is(value, b[i]));

/** How many golden examples there are, and of how many input, outputs and answer are those of the exporting machine. */
export async function selfCheck() {
  const examples = site.golden ? await (await fetched("golden.json")).json() : [];
  let identical = 0;
  for (const {thing, input: expected, outputs, answer} of examples) {
    const {made, size} = await prepared(new Blob([bytesOf(thing)]));
    const quantized = contract.quantized(made), found = await invoke(quantized);
    const wanted = outputs.map((text, i) => typed(site.tensors.outputs[i].type, bytesOf(text)));
    let right = same(quantized, typed(site.tensors.input.type, bytesOf(expected))) && found.every((output, i) => same(output, wanted[i]));
    if (right && answer) {
      const shown = contract.answer(found, size);
      if (answer.sha256 && globalThis.crypto?.subtle) shown.sha256 = await digest(shown.mask);
      else delete answer.sha256;
      right = alike(shown, answer);
    }
    identical += right;
  }
  return {identical, examples: examples.length};
}

/** What the server of serve.py answers to a path. */
export async function ask(path, file) {
  if (path === "/about") return site.about;
  return path === "/camera" ? frame() : answered(() => prepared(file));
}

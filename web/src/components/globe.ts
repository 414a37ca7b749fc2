// A globe of rings in WebGL: each frame's spectrum starts at the equator and
// travels to the poles.
import { fitCanvas } from "./canvas";

const rings = 96;
const points = 384; // of a ring
const bins = 128;
const rows = 64; // frames of history, from equator to pole

const vertexShader = `#version 300 es
precision highp float;
in vec2 place; // longitude 0..1, latitude -1..1
uniform sampler2D spectra;
uniform float head, time, aspect;
uniform vec2 turn; // yaw, pitch
out float loud;
out float near;
out float high;
void main() {
  float age = abs(place.y);
  float fold = abs(place.x * 2.0 - 1.0);
  float row = (head - age * ${(rows - 2).toFixed(1)} + 0.5) / ${rows.toFixed(1)};
  loud = texture(spectra, vec2(fold, fract(row))).r * (1.0 - 0.55 * age);
  high = fold;
  float latitude = place.y * 1.5708;
  float longitude = place.x * 6.2831853;
  float breath = 0.018 * sin(longitude * 3.0 + time * 0.7) * sin(latitude * 5.0 - time * 0.9);
  float radius = 1.0 + breath + 0.62 * loud * loud;
  vec3 p = radius * vec3(cos(latitude) * cos(longitude), sin(latitude), cos(latitude) * sin(longitude));
  float a = turn.x, b = turn.y;
  p = vec3(cos(a) * p.x + sin(a) * p.z, p.y, cos(a) * p.z - sin(a) * p.x);
  p = vec3(p.x, cos(b) * p.y - sin(b) * p.z, cos(b) * p.z + sin(b) * p.y);
  near = 0.5 + 0.5 * p.z / radius;
  float depth = 3.6 - p.z;
  float fit = min(1.0, aspect);
  gl_Position = vec4(p.x * 2.3 * fit / aspect, p.y * 2.3 * fit, 0.0, depth);
}`;

const fragmentShader = `#version 300 es
precision highp float;
in float loud;
in float near;
in float high;
out vec4 color;
void main() {
  vec3 rest = mix(vec3(0.62, 0.24, 0.34), vec3(0.26, 0.34, 0.66), high);
  vec3 lit = mix(vec3(1.0, 0.45, 0.12), vec3(1.0, 0.80, 0.45), loud);
  float glow = smoothstep(0.05, 0.65, loud);
  float alpha = mix(0.05, 0.55, near * near) + 0.45 * glow * near;
  color = vec4(mix(rest, lit, glow) * alpha, alpha);
}`;

function compile(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram()!;
  for (const [type, source] of [
    [gl.VERTEX_SHADER, vertexShader],
    [gl.FRAGMENT_SHADER, fragmentShader],
  ] as const) {
    const shader = gl.createShader(type)!;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new Error(gl.getProgramInfoLog(program) ?? "shader");
  }
  return program;
}

export class Globe {
  yaw = 0.4;
  pitch = 0.35;
  private readonly gl: WebGL2RenderingContext;
  private readonly program: WebGLProgram;
  private readonly count: number;
  private readonly row = new Uint8Array(bins);
  private head = 0;

  /** Throws an Error if the browser has no WebGL. */
  constructor(private readonly canvas: HTMLCanvasElement) {
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: true });
    if (!gl) throw new Error("This browser has no WebGL 2.");
    this.gl = gl;
    this.program = compile(gl);
    gl.useProgram(this.program);

    const places: number[] = [];
    const order: number[] = [];
    for (let ring = 0; ring < rings; ++ring) {
      const latitude = ((ring + 0.5) / rings) * 2 - 1;
      for (let point = 0; point <= points; ++point) {
        order.push(places.length / 2);
        places.push(point / points, latitude);
      }
      order.push(0xffffffff); // ends the strip
    }
    this.count = order.length;
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(places), gl.STATIC_DRAW);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint32Array(order), gl.STATIC_DRAW);
    const place = gl.getAttribLocation(this.program, "place");
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 0);

    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R8, bins, rows);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.REPEAT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /** Draws a frame; spectrum: levels of 0..255, low frequencies first. */
  draw(spectrum: Uint8Array, seconds: number): void {
    const { gl, canvas } = this;
    fitCanvas(canvas);
    const { width, height } = canvas;
    // Low frequencies get most room, as in hearing.
    for (let i = 0; i < bins; ++i) {
      const at = Math.floor((i / bins) ** 1.7 * spectrum.length * 0.55);
      let sum = 0;
      for (let k = at - 2; k <= at + 2; ++k) sum += spectrum[Math.abs(k)] ?? 0;
      this.row[i] = sum / 5;
    }
    this.head = (this.head + 1) % rows;
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, this.head, bins, 1, gl.RED, gl.UNSIGNED_BYTE, this.row);
    const set = (name: string) => gl.getUniformLocation(this.program, name);
    gl.uniform1f(set("head"), this.head);
    gl.uniform1f(set("time"), seconds);
    gl.uniform1f(set("aspect"), width / Math.max(1, height));
    gl.uniform2f(set("turn"), this.yaw, this.pitch);
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.drawElements(gl.LINE_STRIP, this.count, gl.UNSIGNED_INT, 0);
  }

  close(): void {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/* A volume rendered in the visitor's browser by ray-marching (WebGL2), in place of a live view's frames from the server.

   The camera is the one of the view's query, "<azimuth>,<elevation>,<distance>,<field of view>": it looks at the origin, z is up, and
   the field of view is that of the picture's width. volume.py says where a volume comes from; its meta holds
     cells [x, y, z]       of the grid; values stand at their corners, one more along each axis, and are interpolated linearly
     columns               each picture shows the corners' layers z = 0, 1, ... as tiles, so many side by side; x to the right, y downwards
     origin, voxel         the grid's lowest corner and a cell's side, in world units
     density [low, high]   what 0 and 255 of the picture "density" mean; softplus of it is the optical depth of a cell's side
     colour [low, high]    the same for the pictures "constant", "y", "z", "x", four times red, green and blue: a colour seen along
                           the direction d is the sigmoid of constant + y d_y + z d_z + x d_x
     background            the colour behind all, [0, 1]
   and the picture "empty" says of each cell how many cells away, along any axis, the nearest is that holds something; 0: itself. */
(() => {
  const STOP = 0.01;                                     // share of a ray's light below which it is followed no further
  const REST_MS = 200;                                   // without a new query, until the picture is drawn in full
  const MOVING_MS = 24;                                  // that a picture in motion may take; coarser ones take less
  const SHARES = [0.25, 0.35, 0.5, 0.7, 1];              // of the full picture's side, in motion
  const AT_REST = 4;                                     // times the side of one in motion at most: 16 times as long
  const FULL_MAX = 800, FULL_MIN = 200;                  // pixels a side
  const COUNTED = 64;                                    // rays a side in which samples are counted
  const STEPS_MAX = 2048;                                // of a ray
  const FIELDS = ["constant", "y", "z", "x"];
  const PATIENCE_MS = 1;                                 // between two looks whether a picture is done

  const VERTEX = `#version 300 es
    void main() { gl_Position = vec4(4 * (gl_VertexID & 1) - 1, 2 * (gl_VertexID & 2) - 1, 0, 1); }`;       // one triangle over all

  const FRAGMENT = `#version 300 es
    precision highp float;
    precision highp sampler3D;
    uniform sampler3D constant, y, z, x, empty;          // of constant, the alpha is the density
    uniform vec3 cells, eye, right, up, back, background;                // positions in cells from the grid's lowest corner
    uniform vec2 size;                                   // pixels
    uniform float focal;                                 // pixels
    uniform vec2 density;                                // low, high - low
    uniform vec3 low[4], range[4];
    uniform bool counting;
    out vec4 colour;

    void main() {
      vec2 at = (gl_FragCoord.xy - 0.5 * size) / focal;
      vec3 d = normalize(at.x * right + at.y * up - back);
      d = mix(d, vec3(1e-9), lessThan(abs(d), vec3(1e-9)));              // along a face: far away, but not 0 / 0
      vec3 a = -eye / d, b = (cells - eye) / d, first = min(a, b), last = max(a, b);
      float near = max(max(max(first.x, first.y), first.z), 0.0), far = min(min(last.x, last.y), last.z);
      float fastest = max(max(abs(d.x), abs(d.y)), abs(d.z));
      vec3 base = low[0] + d.y * low[1] + d.z * low[2] + d.x * low[3];
      vec3 sum = vec3(0);
      float light = 1.0, samples = 0.0, t = near + 0.5;  // a sample in the middle of every cell's length
      for (int i = 0; i < ${STEPS_MAX} && t < far && light > ${STOP}; i++) {
        vec3 p = eye + t * d;
        float away = 255.0 * texelFetch(empty, clamp(ivec3(floor(p)), ivec3(0), ivec3(cells) - 1), 0).r;
        if (away > 0.5) {                                // as many whole steps as stay among empty cells, and one more
          t += floor((away - 1.0) / fastest + 1e-3) + 1.0;
          continue;
        }
        vec3 place = (p + 0.5) / (cells + 1.0);          // textureLod: a gradient in a loop is no loop to some drivers
        vec4 value = textureLod(constant, place, 0.0);
        float raw = density.x + density.y * value.a;
        float tau = max(raw, 0.0) + log(1.0 + exp(-abs(raw)));
        float w = light * (1.0 - exp(-tau));
        vec3 logit = base + range[0] * value.rgb + d.y * range[1] * textureLod(y, place, 0.0).rgb
          + d.z * range[2] * textureLod(z, place, 0.0).rgb + d.x * range[3] * textureLod(x, place, 0.0).rgb;
        sum += w / (1.0 + exp(-logit));
        light *= exp(-tau);
        samples += 1.0;
        t += 1.0;
      }
      if (light <= ${STOP}) { sum /= 1.0 - light; light = 0.0; }         // the rest of its light is taken to be of the same colour
      colour = counting ? vec4(mod(samples, 256.0) / 255.0, floor(samples / 256.0) / 255.0, 0, 1) : vec4(sum + light * background, 1);
    }`;

  /* Right, up and back of the camera, and where it stands. */
  function pose([azimuth, elevation, distance]) {
    const a = (azimuth * Math.PI) / 180, e = (elevation * Math.PI) / 180;
    const back = [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
    const up = [-Math.sin(e) * Math.cos(a), -Math.sin(e) * Math.sin(a), Math.cos(e)];
    return { right: [-Math.sin(a), Math.cos(a), 0], up, back, eye: back.map((part) => distance * part) };
  }

  /* A volume's picture as the bytes of its layers, one after the other, of so many channels. */
  async function layers(address, meta, channels) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
    const picture = await createImageBitmap(await answer.blob(), { premultiplyAlpha: "none", colorSpaceConversion: "none" });
    const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    const { data } = context.getImageData(0, 0, picture.width, picture.height);
    const [width, height, depth] = meta.cells.map((cells) => cells + 1);
    const bytes = new Uint8Array(width * height * depth * channels);
    let to = 0;
    for (let z = 0; z < depth; z++)
      for (let y = 0; y < height; y++) {
        const row = Math.floor(z / meta.columns) * height + y;
        let from = 4 * (row * picture.width + (z % meta.columns) * width);
        for (let x = 0; x < width; x++, from += 4) for (let c = 0; c < channels; c++) bytes[to++] = data[from + c];
      }
    return bytes;
  }

  class Renderer {
    constructor() {
      this.canvas = document.createElement("canvas");
      this.gl = this.canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, preserveDrawingBuffer: true });
      if (!this.gl) return;
      const { gl } = this;
      this.program = gl.createProgram();
      for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
        const shader = gl.createShader(kind);
        gl.shaderSource(shader, source);
        gl.compileShader(shader);
        gl.attachShader(this.program, shader);
      }
      gl.linkProgram(this.program);
      if (!gl.getProgramParameter(this.program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(this.program));
      gl.useProgram(this.program);
      gl.disable(gl.DITHER);
      this.textures = ["constant", "y", "z", "x", "empty"].map((name, unit) => {
        gl.uniform1i(this.at(name), unit);
        return gl.createTexture();
      });
      this.counter = gl.createFramebuffer();
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.counter);
      gl.bindRenderbuffer(gl.RENDERBUFFER, gl.createRenderbuffer());
      gl.renderbufferStorage(gl.RENDERBUFFER, gl.RGBA8, COUNTED, COUNTED);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.RENDERBUFFER, gl.getParameter(gl.RENDERBUFFER_BINDING));
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    }
    at(name) { return this.gl.getUniformLocation(this.program, name); }
    /* Take a volume: its meta, and the layers of its pictures by name. */
    take(meta, pictures) {
      const { gl } = this, [width, height, depth] = meta.cells.map((cells) => cells + 1);
      const constant = new Uint8Array(width * height * depth * 4);
      for (let i = 0; i < pictures.density.length; i++) {
        for (let c = 0; c < 3; c++) constant[4 * i + c] = pictures.constant[3 * i + c];
        constant[4 * i + 3] = pictures.density[i];
      }
      gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
      const kinds = { 1: [gl.R8, gl.RED], 3: [gl.RGB8, gl.RGB], 4: [gl.RGBA8, gl.RGBA] };
      [constant, pictures.y, pictures.z, pictures.x, pictures.empty].forEach((bytes, unit) => {
        const [internal, format] = kinds[bytes.length / (width * height * depth)], filter = unit < 4 ? gl.LINEAR : gl.NEAREST;
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(gl.TEXTURE_3D, this.textures[unit]);
        gl.texImage3D(gl.TEXTURE_3D, 0, internal, width, height, depth, 0, format, gl.UNSIGNED_BYTE, bytes);
        for (const key of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_3D, key, filter);
        for (const key of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) gl.texParameteri(gl.TEXTURE_3D, key, gl.CLAMP_TO_EDGE);
      });
      const steps = ([low, high]) => [low, high.map((value, i) => value - low[i])];
      const [low, range] = steps([meta.colour[0].flat(), meta.colour[1].flat()]);
      gl.uniform3fv(this.at("low"), low);
      gl.uniform3fv(this.at("range"), range);
      gl.uniform2f(this.at("density"), meta.density[0], meta.density[1] - meta.density[0]);
      gl.uniform3fv(this.at("cells"), meta.cells);
      gl.uniform3fv(this.at("background"), meta.background);
      this.meta = meta;
    }
    /* The picture of a camera on the canvas, side pixels wide and high. */
    draw(camera, side) {
      if (this.canvas.width !== side) Object.assign(this.canvas, { width: side, height: side });
      this.render(camera, side, false);
    }
    render(camera, side, counting) {
      const { gl, meta } = this, { eye, ...axes } = pose(camera);
      for (const [name, axis] of Object.entries(axes)) gl.uniform3fv(this.at(name), axis);
      gl.uniform3fv(this.at("eye"), eye.map((part, i) => (part - meta.origin[i]) / meta.voxel));
      gl.uniform2f(this.at("size"), side, side);
      gl.uniform1f(this.at("focal"), side / 2 / Math.tan((camera[3] * Math.PI) / 360));
      gl.uniform1i(this.at("counting"), counting);
      gl.viewport(0, 0, side, side);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    }
    /* How many samples a ray of this camera has in the mean. */
    count(camera) {
      const { gl } = this, counts = new Uint8Array(COUNTED * COUNTED * 4);
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.counter);
      this.render(camera, COUNTED, true);
      gl.readPixels(0, 0, COUNTED, COUNTED, gl.RGBA, gl.UNSIGNED_BYTE, counts);
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
      let sum = 0;
      for (let i = 0; i < counts.length; i += 4) sum += counts[i] + 256 * counts[i + 1];
      return sum / (COUNTED * COUNTED);
    }
    /* When all that was drawn is done. */
    async done() {
      const { gl } = this, fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
      if (!fence) return;                                // the graphics card is lost
      gl.flush();
      while (gl.clientWaitSync(fence, 0, 0) === gl.TIMEOUT_EXPIRED) await new Promise((go) => setTimeout(go, PATIENCE_MS));
      gl.deleteSync(fence);
    }
  }

  /* Draws the frames of a live view in place of the server, as soon as it has the volume of its query. */
  class Marcher {
    constructor(root) {
      Object.assign(this, { root, view: playground.live.view(root.dataset.view), version: null, key: null, loading: null, none: null,
        camera: null, moved: 0, resting: null, share: 2, samples: null, drawing: false, dirty: false, server: false, seen: false });
      this.renderer = new Renderer();
      if (!this.renderer.gl) return;                     // the server goes on
      this.view.painter = (query) => this.paint(query);
      this.view.renewed = () => Object.assign(this, { key: null, none: null, loading: null });
      this.renderer.canvas.addEventListener("webglcontextlost", () => this.give());
      this.button = root.querySelector("[data-do=by]");
      this.button.addEventListener("click", () => { this.server = !this.server; this.view.again(); });
      new IntersectionObserver((seen) => {
        this.seen = seen.at(-1).isIntersecting;
        if (this.seen && this.view.last !== null) this.paint(this.view.last);
      }).observe(root);
    }
    /* The server goes on with the frames, for good. */
    give() {
      Object.assign(this.view, { painter: null, renewed: null });
      this.button.hidden = true;
      this.by("server");
      this.view.again();
    }
    by(whom) { this.root.dataset.by = whom; }
    /* Whether the frame of a query is drawn here. */
    paint(query) {
      const parameters = new URLSearchParams(query), camera = parameters.get(this.root.dataset.camera)?.split(",").map(Number) ?? [];
      parameters.delete(this.root.dataset.camera);
      const key = parameters.toString(), here = key === this.key && !this.server && camera.length === 4 && camera.every(Number.isFinite);
      if (key !== this.key) this.load(key);
      this.by(here ? "browser" : "server");
      this.camera = here ? camera : null;
      if (here) this.move();
      return here;
    }
    async load(key) {
      if (!this.seen || this.loading === key || this.none === key) return;
      this.loading = key;
      try {
        const place = `${playground.root()}/volume/${this.root.dataset.volume}`, answer = await fetch(`${place}?${key}`);
        const found = answer.status === 200 ? await answer.json() : null;
        if (this.loading !== key) return;
        if (!found || Math.max(...found.meta.cells) >= this.renderer.gl.getParameter(this.renderer.gl.MAX_3D_TEXTURE_SIZE)) {
          if (answer.status < 500) this.none = key;
          return;
        }
        if (found.version !== this.version) {
          const channels = { density: 1, empty: 1, constant: 3, y: 3, z: 3, x: 3 };
          const pictures = await Promise.all(Object.keys(channels).map(async (name) =>
            [name, await layers(`${place}/${found.version}/${name}?${key}`, found.meta, channels[name])]));
          if (this.loading !== key) return;
          this.renderer.take(found.meta, Object.fromEntries(pictures));
          this.version = found.version;
        }
        this.key = key;
        this.button.hidden = false;
        this.view.again();
      } catch (error) {
        console.error(error);                            // the server goes on; another query tries again
      } finally {
        if (this.loading === key) this.loading = null;
      }
    }
    /* The camera is another: draw it, coarsely while it moves. One picture at a time, the newest camera next. */
    async move() {
      this.moved = performance.now();
      this.dirty = true;
      if (this.drawing) return;
      this.drawing = true;
      while (this.dirty && this.camera) {
        await new Promise(requestAnimationFrame);
        if (!this.camera) break;
        this.dirty = false;
        const ms = await this.frame(SHARES[this.share], this.samples);
        if (ms > MOVING_MS) this.share = Math.max(0, this.share - 1);
        if (ms < MOVING_MS / 3) this.share = Math.min(SHARES.length - 1, this.share + 1);
      }
      this.drawing = false;
      clearTimeout(this.resting);
      this.resting = setTimeout(() => this.rest(), Math.max(0, this.moved + REST_MS - performance.now()));
    }
    async rest() {
      if (this.drawing || !this.camera) return;
      this.drawing = true;
      await this.frame(Math.min(1, AT_REST * SHARES[this.share]), this.renderer.count(this.camera));
      this.drawing = false;
      if (this.dirty) this.move();
    }
    /* Draw a picture of so many of the full one's pixels a side; how long it took, in ms. */
    async frame(share, samples) {
      const { canvas } = this.renderer, shown = this.root.querySelector("canvas").clientWidth * (devicePixelRatio || 1);
      const side = Math.round(share * Math.max(FULL_MIN, Math.min(FULL_MAX, shown))), begun = performance.now();
      const { camera } = this;
      this.samples = samples;
      this.renderer.draw(camera, side);
      await this.renderer.done();
      const ms = performance.now() - begun;
      if (this.camera) this.view.painted(canvas, { camera, ms, samples, rays: (side * side * 1000) / ms });      // else the server has taken over
      return ms;
    }
  }

  playground.march = {
    /* An orbit (orbit.js) with a volume: draw it here, where this browser can. */
    mount(root) {
      try { new Marcher(root); } catch (error) { console.error(error); }
    },
  };
})();

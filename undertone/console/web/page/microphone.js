// What somebody says, or a recording of theirs, on its way to the console: an AudioWorklet and a WebSocket.

// What waits for the network: more is sound that would come too late.
const MOST_WAITING = 1_000_000;
const PLAIN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
// As long as the console hears.
const LONGEST_S = 600;
const LARGEST = 200_000_000;

export class Microphone {
  /** `on.started(call)`, `on.level(0 to 1)`, and `on.ended(why)` once, with an empty text where all went well. */
  constructor(on) {
    this.on = on;
    this.context = new AudioContext();
    this.media = null;
    this.socket = null;
    this.over = false;
    this.began = null;
  }

  /** Hear the microphone. */
  async speak() {
    if (!navigator.mediaDevices) throw new Error("browsers lend a microphone to https and to localhost alone");
    this.media = await navigator.mediaDevices.getUserMedia({ audio: PLAIN });
    await this.hear(this.context.createMediaStreamSource(this.media));
  }

  /** Hear a recording, and let it be heard. */
  async play(file) {
    if (file.size > LARGEST) throw new Error("this file is too large: 200 MB at most");
    const source = this.context.createBufferSource();
    try {
      source.buffer = await this.context.decodeAudioData(await file.arrayBuffer());
    } catch {
      throw new Error(`${file.name} is no recording that this browser can read`);
    }
    source.addEventListener("ended", () => this.stop());
    source.connect(this.context.destination);
    await this.hear(source);
    source.start(0, 0, LONGEST_S - 1);
  }

  async hear(source) {
    await this.context.audioWorklet.addModule("/static/samples.js");
    await this.context.resume();
    // One channel, whatever comes: the mean of them.
    const node = new AudioWorkletNode(this.context, "samples", { channelCount: 1, channelCountMode: "explicit" });
    await this.open();
    if (this.over) return;
    node.port.onmessage = ({ data }) => this.send(data);
    source.connect(node);
  }

  open() {
    const address = new URL("/api/try", location);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = (this.socket = new WebSocket(address));
    return new Promise((done) => {
      socket.addEventListener("open", () => socket.send(JSON.stringify({ event: "start", sample_rate: this.context.sampleRate })));
      socket.addEventListener("message", ({ data }) => {
        this.on.started(JSON.parse(data).call_id);
        done();
      });
      socket.addEventListener("close", ({ code, reason }) => {
        this.end(code === 1000 ? "" : reason || "the console does not answer");
        done();
      });
    });
  }

  send(samples) {
    if (this.over || this.socket.readyState !== WebSocket.OPEN) return;
    if (this.socket.bufferedAmount > MOST_WAITING) {
      this.socket.close();
      this.end("the network is too slow");
      return;
    }
    // The stream's first sample, on this page's clock.
    this.began ??= performance.now() - (1000 * samples.length) / this.context.sampleRate;
    this.socket.send(samples);
    let most = 0;
    for (const sample of samples) most = Math.max(most, Math.abs(sample));
    this.on.level(most / 32768);
  }

  /** How long ago the sound at this second of the stream was heard. */
  ago(second) {
    return (performance.now() - this.began) / 1000 - second;
  }

  stop() {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send('{"event": "stop"}');
    this.end("");
  }

  end(why) {
    if (this.over) return;
    this.over = true;
    for (const track of this.media?.getTracks() ?? []) track.stop();
    this.context.close();
    this.on.ended(why);
  }
}

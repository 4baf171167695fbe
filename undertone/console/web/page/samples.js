// Runs where sound is made: hands on what is heard as int16, 20 ms at a time.

class Samples extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.round(sampleRate / 50);
    this.begin();
  }

  begin() {
    this.samples = new Int16Array(this.size);
    this.count = 0;
  }

  process([[channel]]) {
    for (const value of channel ?? []) {
      this.samples[this.count] = Math.max(-32768, Math.min(32767, Math.round(value * 32768)));
      this.count += 1;
      if (this.count < this.size) continue;
      this.port.postMessage(this.samples, [this.samples.buffer]);
      this.begin();
    }
    return true;
  }
}

registerProcessor("samples", Samples);

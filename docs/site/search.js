// Search in pages that were opened as files, where browsers start no workers: the worker's script runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.documentElement.append(frame)
      const inside = frame.contentWindow
      const deliver = (target, data) => target.dispatchEvent(new MessageEvent("message", { data }))
      const load = (source) =>
        new Promise((done, failed) => {
          const script = inside.document.createElement("script")
          Object.assign(script, { src: source, onload: done, onerror: failed })
          inside.document.body.append(script)
        })
      inside.postMessage = (data) => deliver(this, data)
      inside.importScripts = (...sources) => Promise.all(sources.map(load))
      this.ready = load(address)
      this.postMessage = (data) => this.ready.then(() => deliver(inside, data))
      this.terminate = () => frame.remove()
    }
  }
}

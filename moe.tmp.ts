import ort from 'onnxruntime-node'
import { Graph } from './src/graph/builder.ts'
import { encodeModel } from './src/graph/encode.ts'
import { int, string, float } from './src/graph/value.ts'
async function make(E: number, H: number, I: number, k: number, check: boolean) {
  const g = new Graph('moe')
  const x = g.input('x', 'float32', ['t', H]), r = g.input('r', 'float32', ['t', E])
  const w1 = g.input('w1', 'float32', [E, 2 * I, H]), w2 = g.input('w2', 'float32', [E, H, I])
  const [y] = g.node({ op: 'MoE', domain: 'com.microsoft', inputs: [x, r, w1, undefined, w2], outputs: [x],
    attributes: { k: int(k), activation_type: string('swiglu'), swiglu_fusion: int(1), normalize_routing_weights: int(1), activation_alpha: float(1), activation_beta: float(0) } })
  g.output('y', y!)
  const s = await ort.InferenceSession.create(encodeModel(g, new Map()), { intraOpNumThreads: 2, interOpNumThreads: 1 })
  const rnd = (n: number) => { const a = new Float32Array(n); let z = 12345; for (let i = 0; i < n; i++) { z = (z * 1103515245 + 12345) & 0x7fffffff; a[i] = z / 0x7fffffff - 0.5 } return a }
  const T = check ? 3 : 1
  const feeds = { x: new ort.Tensor('float32', rnd(T * H), [T, H]), r: new ort.Tensor('float32', rnd(T * E), [T, E]), w1: new ort.Tensor('float32', rnd(E * 2 * I * H), [E, 2 * I, H]), w2: new ort.Tensor('float32', rnd(E * H * I), [E, H, I]) }
  const out = await s.run(feeds)
  if (check) {
    const X = feeds.x.data as Float32Array, R = feeds.r.data as Float32Array, W1 = feeds.w1.data as Float32Array, W2 = feeds.w2.data as Float32Array
    let worst = 0
    for (let t = 0; t < T; t++) {
      const e = Array.from({ length: E }, (_, i) => Math.exp(R[t * E + i]!)); const sum = e.reduce((a, b) => a + b); const p = e.map((v) => v / sum)
      const top = p.map((v, i) => [v, i] as const).sort((a, b) => b[0] - a[0]).slice(0, k); const ts = top.reduce((a, [v]) => a + v, 0)
      const res = new Float64Array(H)
      for (const [v, ex] of top) {
        const h = new Float64Array(I)
        for (let i = 0; i < I; i++) { let gt = 0, up = 0; for (let j = 0; j < H; j++) { gt += X[t * H + j]! * W1[(ex * 2 * I + 2 * i) * H + j]!; up += X[t * H + j]! * W1[(ex * 2 * I + 2 * i + 1) * H + j]! } h[i] = gt / (1 + Math.exp(-gt)) * up }
        for (let o = 0; o < H; o++) { let a = 0; for (let i = 0; i < I; i++) a += h[i]! * W2[(ex * H + o) * I + i]!; res[o]! += v / ts * a }
      }
      for (let o = 0; o < H; o++) worst = Math.max(worst, Math.abs(res[o]! - (out['y']!.data as Float32Array)[t * H + o]!))
    }
    console.log('check', E, H, I, k, worst)
    return
  }
  const times: number[] = []
  for (let i = 0; i < 30; i++) { const b = performance.now(); await s.run(feeds); times.push(performance.now() - b) }
  times.sort((a, b) => a - b)
  console.log('E', E, 'ms', times[15]!.toFixed(2), 'min', times[0]!.toFixed(2))
}
await make(4, 64, 96, 2, true)
await make(8, 64, 96, 3, true)
for (const E of [2, 8, 2, 8, 32]) await make(E, 1024, 2816, 2, false)

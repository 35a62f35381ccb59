import type { FrameStream } from '../../src/swarm/frames/frame-stream.ts'
import type { AnyMessage } from '../../src/swarm/frames/messages.ts'
import type { SwarmNode } from '../../src/swarm/node/node.ts'
import { convert } from '../../src/tensor/convert.ts'
import { type Tensor, fromFloat32 } from '../../src/tensor/tensor.ts'

/** How hidden states can be wrong so that it shows. */
export const LIES = ['NaN', 'rows', 'dtype', 'width'] as const
export type Lie = (typeof LIES)[number]

/** Has a node send wrong hidden states, in answers and to the next servers, as long as `lie` names a way. */
export function makeLiar(node: SwarmNode, lie: () => Lie | undefined): void {
  const handle = node.handle.bind(node) as (rpc: string, serve: (stream: object) => Promise<void>) => Promise<void>
  const open = node.open.bind(node) as (...args: unknown[]) => Promise<object>
  Object.assign(node, {
    handle: (rpc: string, serve: (stream: object) => Promise<void>) =>
      handle(rpc, rpc === 'inference' ? (stream) => serve(tampered(stream as FrameStream, lie)) : serve),
    open: async (...args: unknown[]) => {
      const stream = await open(...args)
      return args[1] === 'push' ? tampered(stream as FrameStream, lie) : stream
    },
  })
}

/** The stream, which sends wrong hidden states. */
function tampered(stream: FrameStream, lie: () => Lie | undefined): FrameStream {
  const send = (message: AnyMessage): Promise<void> => {
    if (!('hidden' in message)) return stream.send(message)
    const kind = lie()
    return stream.send(kind === undefined ? message : { ...message, hidden: WRONG[kind](message.hidden as Tensor) })
  }
  return new Proxy(stream, {
    get: (target, name) => {
      if (name === 'send') return send
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

const zeros = (rows: number, width: number): Tensor => fromFloat32(new Float32Array(rows * width), [rows, width])

const WRONG: Readonly<Record<Lie, (states: Tensor) => Tensor>> = {
  NaN: ({ shape: [rows, width] }) => fromFloat32(new Float32Array(rows! * width!).fill(Number.NaN), [rows!, width!]),
  rows: ({ shape: [rows, width] }) => zeros(rows! + 1, width!),
  width: ({ shape: [rows, width] }) => zeros(rows!, width! + 1),
  dtype: (states) => convert(states, 'float16'),
}

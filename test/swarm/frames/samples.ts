import { CODECS, type MessageCodec } from '../../../src/swarm/frames/codec.ts'
import { type Answer, MESSAGES, type MessageTable, type Request } from '../../../src/swarm/frames/messages.ts'
import { RPCS, RPC_LIMITS, type Rpc, type RpcLimits } from '../../../src/swarm/limits.ts'
import { type PackedTensor, activationBytes } from '../../../src/tensor/activations.ts'
import { type Tensor, fromFloat32 } from '../../../src/tensor/tensor.ts'

function floats(...shape: number[]): Tensor {
  const length = shape.reduce((product, dim) => product * dim, 1)
  return fromFloat32(
    Float32Array.from({ length }, (_, i) => i - 1.5),
    shape,
  )
}

function packed(...shape: number[]): PackedTensor {
  const data = new Uint8Array(activationBytes('int8-blocks', shape)).fill(1)
  return { dtype: 'int8-blocks', shape, data }
}

const SESSION = '0123456789abcdef0123456789abcdef'
const TRACE = '0123456789abcdef'
const TRACE_CONTEXT = `${'c4'.repeat(16)}01`
const PROGRESS = {
  request: 300,
  epoch: 2,
  position: 7,
  received: 9,
  completed: 8,
  pushing: 0,
  arrived: 70_000,
  queueMs: 12,
}
const FAULT = { code: 'SESSION_UNKNOWN', message: 'später' }
const STEP = {
  kind: 'step',
  epoch: 1,
  step: 0xffffffff,
  position: 0,
  push: true,
  hidden: floats(2, 3),
  rows: 1,
} as const
const FORWARD = {
  requests: [
    {
      kind: 'forward',
      modelKey: 'm',
      start: 0,
      end: 4,
      trace: TRACE,
      traceContext: TRACE_CONTEXT,
      hidden: floats(1, 2, 3),
      adapter: 'moby',
      prompts: floats(4, 1, 3),
      wireDType: 'bfloat16',
    },
  ],
  answers: [{ kind: 'output', hidden: floats(1, 2, 3) }],
} satisfies Samples['forward']

type Samples = { [R in Rpc]: { requests: Request<R>[]; answers: Answer<R>[] } }

/** One of every message, with all of its fields. */
export const SAMPLES: Samples = {
  info: {
    requests: [{ kind: 'info', modelKey: '', known: new Uint8Array(16).fill(7) }],
    answers: [
      {
        kind: 'info',
        version: '0.1.0',
        protocol: '3.0.0',
        records: [Uint8Array.of(1, 2), Uint8Array.of(3)],
        gossips: true,
      },
    ],
  },
  announce: {
    requests: [{ kind: 'announce', record: Uint8Array.of(1, 2) }],
    answers: [{ kind: 'announced', isNew: false }],
  },
  contact: {
    requests: [{ kind: 'contact', port: 4001, nowMs: 1.5e12 }],
    answers: [{ kind: 'contact', version: '0.1.0', nowMs: 1.5e12, isReachable: true }],
  },
  inference: {
    requests: [
      {
        kind: 'open',
        sessionId: SESSION,
        modelKey: 'm',
        start: 0,
        end: 4,
        maxLength: 2048,
        allocTimeoutMs: 0,
        trace: TRACE,
        traceContext: TRACE_CONTEXT,
        adapter: 'moby',
        prompts: floats(4, 1, 3),
        wireDType: 'int8',
      },
      STEP,
      { kind: 'ack', until: 70_000 },
      { kind: 'route', request: 1, peerId: '12D3', sessionId: SESSION, wireDType: 'int8' },
      { kind: 'accept', request: 2, peerId: '12D3' },
      { kind: 'resume', request: 3, epoch: 2, position: 5, until: 6 },
      { kind: 'fork', request: 4, epoch: 2, position: 5, sessionId: SESSION, until: 6 },
      { kind: 'fetch', request: 5, position: 0, until: 128 },
      { kind: 'park', step: 300 },
    ],
    answers: [
      { kind: 'opened' },
      { kind: 'output', epoch: 1, step: 2, position: 3, hidden: floats(1, 3) },
      { kind: 'routed', request: 1 },
      { kind: 'accepted', request: 2 },
      { kind: 'resumed', ...PROGRESS },
      { kind: 'forked', ...PROGRESS },
      { kind: 'fetched', request: 5, position: 0, hidden: packed(2, 3) },
      { kind: 'refused', request: 5, ...FAULT },
      { kind: 'failed', epoch: 1, step: 2, ...FAULT },
      { kind: 'broken', epoch: 1, step: 2, ...FAULT },
      { kind: 'computed', epoch: 1, step: 2, position: 7 },
    ],
  },
  control: {
    requests: [{ kind: 'status', request: 2, sessionId: SESSION }],
    answers: [{ kind: 'status', ...PROGRESS }],
  },
  push: { requests: [{ kind: 'open', sessionId: SESSION }, STEP], answers: [{ kind: 'opened' }] },
  forward: FORWARD,
  probe: FORWARD,
  backward: {
    requests: [
      {
        kind: 'backward',
        modelKey: 'm',
        start: 0,
        end: 4,
        trace: TRACE,
        traceContext: TRACE_CONTEXT,
        hidden: floats(1, 2, 3),
        gradient: floats(1, 2, 3),
        adapter: 'moby',
        prompts: floats(4, 1, 3),
        adapterGradients: true,
      },
    ],
    answers: [
      { kind: 'gradients', hidden: floats(1, 2, 3), prompts: floats(4, 1, 3) },
      { kind: 'module', name: 'q_proj', a: floats(2, 3), b: floats(4, 2) },
      { kind: 'complete' },
    ],
  },
  adapter: {
    requests: [
      { kind: 'offer', modelKey: 'm', adapter: 'client:1', replaces: 'client:0' },
      { kind: 'module', name: 'q_proj', scaling: -0.5, a: floats(2, 3), b: floats(4, 2) },
      { kind: 'complete' },
      { kind: 'same', name: 'k_proj' },
    ],
    answers: [{ kind: 'have' }, { kind: 'send', hasReplaced: true }, { kind: 'taken' }],
  },
}

export interface Sample {
  readonly rpc: Rpc
  readonly side: 'requests' | 'answers'
  readonly message: { readonly kind: string }
  readonly table: MessageTable
  readonly codec: MessageCodec
  readonly limits: RpcLimits
}

/** Both sides of all rpcs, one message after another. */
export function allSamples(): Sample[] {
  return RPCS.flatMap((rpc) =>
    (['requests', 'answers'] as const).flatMap((side) =>
      SAMPLES[rpc][side].map((message) => ({
        rpc,
        side,
        message,
        table: MESSAGES[rpc][side] as MessageTable,
        codec: CODECS[rpc][side],
        limits: RPC_LIMITS[rpc],
      })),
    ),
  )
}

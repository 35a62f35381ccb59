/*
 * frames/: what passes between two peers on one stream of bytes. This file has every message of every rpc; codec writes
 * and reads their headers (fields, header-bytes), frame cuts bytes into messages with their tensors, frame-stream sends
 * and receives them, with what waits on either side (frame-outbox, frame-inbox). It knows no libp2p node.
 */
import { MAX_RECORD_BYTES, type Rpc } from '../limits.ts'
import {
  type AnyField,
  type Field,
  activations,
  bytes,
  flag,
  id,
  optional,
  real,
  repeated,
  tensor,
  text,
  uint,
} from './fields.ts'

/** A message: its number on the wire, unique among the messages of one side of an rpc, and its fields. */
export interface MessageSpec {
  readonly code: number
  readonly fields: Readonly<Record<string, AnyField>>
}

/** The messages that one side of an rpc may send, by name. */
export type MessageTable = Readonly<Record<string, MessageSpec>>

function message<F extends Record<string, AnyField>>(code: number, fields: F): { code: number; fields: F } {
  return { code, fields }
}

const SESSION_ID_BYTES = 16
const TRACE_BYTES = 8
/** The id of a W3C trace (16 bytes) and its flags, of which the first says whether it is kept. */
const TRACE_CONTEXT_BYTES = 17
const MAX_BLOCKS = 100_000
const MAX_PORT = 65_535
const MAX_NAME_BYTES = 512
/** The digests of four directories' records. */
const MAX_KNOWN_BYTES = 32_768
const MAX_CODE_BYTES = 64
const MAX_REASON_BYTES = 4096

const sessionId = (number: number) => id(number, SESSION_ID_BYTES)
const traceContext = (number: number) => optional(id(number, TRACE_CONTEXT_BYTES))
const block = (number: number) => uint(number, { max: MAX_BLOCKS })
/** A session's steps, and a stream's requests, are numbered from 1. */
const ordinal = (number: number) => uint(number, { min: 1 })
const name = (number: number) => text(number, MAX_NAME_BYTES)
/** A form in which activations travel, by its name: one that the other side does not know is not of a wrong type. */
const wireDType = (number: number) => optional(text(number, MAX_CODE_BYTES))
/** An error: a stable code and a sentence. */
const fault = (first: number) => ({ code: text(first, MAX_CODE_BYTES), message: text(first + 1, MAX_REASON_BYTES) })
const prompts = (number: number) => optional(tensor(number, ['blocks', 'positions', 'hidden']))

const STEP = message(3, {
  epoch: uint(1),
  step: ordinal(2),
  position: uint(3),
  push: flag(4),
  hidden: activations(5, ['tokens', 'hidden']),
  rows: optional(uint(6)),
})

/** What a server reports about a session's state. */
const PROGRESS = {
  request: ordinal(1),
  epoch: uint(2),
  position: uint(3),
  received: uint(4),
  completed: uint(5),
  pushing: uint(6),
  arrived: uint(7),
  queueMs: uint(8),
}

const STEP_FAULT = { epoch: uint(1), step: ordinal(2), ...fault(3) }

/** A forward pass of whole sequences through some blocks. A probe has the same messages with smaller limits. */
const FORWARD = {
  requests: {
    forward: message(2, {
      modelKey: name(1),
      start: block(2),
      end: block(3),
      trace: id(4, TRACE_BYTES),
      hidden: activations(5, ['batch', 'tokens', 'hidden']),
      adapter: optional(name(6)),
      prompts: prompts(7),
      wireDType: wireDType(8),
      traceContext: traceContext(9),
    }),
  },
  answers: { output: message(2, { hidden: activations(1, ['batch', 'tokens', 'hidden']) }) },
}

/** A backward pass: the forward pass is computed again, and nothing is kept between two requests. */
const BACKWARD = {
  requests: {
    backward: message(2, {
      modelKey: name(1),
      start: block(2),
      end: block(3),
      trace: id(4, TRACE_BYTES),
      hidden: tensor(5, ['batch', 'tokens', 'hidden']),
      gradient: tensor(6, ['batch', 'tokens', 'hidden']),
      adapter: optional(name(7)),
      prompts: prompts(8),
      adapterGradients: flag(9),
      traceContext: traceContext(10),
    }),
  },
  answers: {
    gradients: message(2, { hidden: tensor(1, ['batch', 'tokens', 'hidden']), prompts: prompts(2) }),
    module: message(3, { name: name(1), a: tensor(2, ['rank', 'in']), b: tensor(3, ['out', 'rank']) }),
    complete: message(4, {}),
  },
}

/** The messages that either side of any rpc may send: its end, and an error. */
export const COMMON = { end: message(0, {}), error: message(1, fault(1)) }

/**
 * The messages of every rpc besides the common ones: `requests` are sent by the side that opened the stream, `answers`
 * by the serving side.
 */
export const MESSAGES = {
  info: {
    requests: { info: message(2, { modelKey: name(1), known: optional(bytes(2, MAX_KNOWN_BYTES)) }) },
    answers: {
      info: message(2, {
        version: name(1),
        protocol: name(2),
        records: repeated(bytes(3, MAX_RECORD_BYTES)),
        gossips: flag(4),
      }),
    },
  },
  announce: {
    requests: { announce: message(2, { record: bytes(1, MAX_RECORD_BYTES) }) },
    answers: { announced: message(2, { isNew: flag(1) }) },
  },
  contact: {
    requests: {
      contact: message(2, { port: optional(uint(1, { min: 1, max: MAX_PORT })), nowMs: optional(real(2)) }),
    },
    answers: { contact: message(2, { version: name(1), nowMs: real(2), isReachable: optional(flag(3)) }) },
  },
  inference: {
    requests: {
      open: message(2, {
        sessionId: sessionId(1),
        modelKey: name(2),
        start: block(3),
        end: block(4),
        maxLength: ordinal(5),
        allocTimeoutMs: uint(6),
        trace: id(7, TRACE_BYTES),
        adapter: optional(name(8)),
        prompts: prompts(9),
        wireDType: wireDType(10),
        traceContext: traceContext(11),
      }),
      step: STEP,
      ack: message(4, { until: uint(1) }),
      route: message(5, {
        request: ordinal(1),
        peerId: optional(name(2)),
        sessionId: optional(sessionId(3)),
        wireDType: wireDType(4),
      }),
      accept: message(6, { request: ordinal(1), peerId: optional(name(2)) }),
      resume: message(7, { request: ordinal(1), epoch: uint(2), position: uint(3), until: uint(4) }),
      fork: message(8, {
        request: ordinal(1),
        epoch: uint(2),
        position: uint(3),
        sessionId: sessionId(4),
        until: uint(5),
      }),
      fetch: message(9, { request: ordinal(1), position: uint(2), until: uint(3) }),
      park: message(10, { step: uint(1) }),
    },
    answers: {
      opened: message(2, {}),
      output: message(3, {
        epoch: uint(1),
        step: ordinal(2),
        position: uint(3),
        hidden: activations(4, ['tokens', 'hidden']),
      }),
      routed: message(5, { request: ordinal(1) }),
      accepted: message(6, { request: ordinal(1) }),
      resumed: message(7, PROGRESS),
      forked: message(8, PROGRESS),
      fetched: message(9, { request: ordinal(1), position: uint(2), hidden: activations(3, ['tokens', 'hidden']) }),
      refused: message(10, { request: ordinal(1), ...fault(2) }),
      failed: message(11, STEP_FAULT),
      broken: message(12, STEP_FAULT),
      computed: message(13, { epoch: uint(1), step: ordinal(2), position: optional(uint(3)) }),
    },
  },
  control: {
    requests: { status: message(2, { request: ordinal(1), sessionId: sessionId(2) }) },
    answers: { status: message(2, PROGRESS) },
  },
  push: {
    requests: { open: message(2, { sessionId: sessionId(1) }), step: STEP },
    answers: { opened: message(2, {}) },
  },
  forward: FORWARD,
  probe: FORWARD,
  backward: BACKWARD,
  adapter: {
    requests: {
      offer: message(2, { modelKey: name(1), adapter: name(2), replaces: optional(name(3)) }),
      module: message(3, {
        name: name(1),
        scaling: real(2),
        a: tensor(3, ['rank', 'in']),
        b: tensor(4, ['out', 'rank']),
      }),
      complete: message(4, {}),
      same: message(5, { name: name(1) }),
    },
    answers: { have: message(2, {}), send: message(3, { hasReplaced: optional(flag(1)) }), taken: message(4, {}) },
  },
} satisfies Record<Rpc, { requests: MessageTable; answers: MessageTable }>

type ValueOf<F> = F extends Field<infer T, infer P> ? (P extends 'repeated' ? readonly T[] : T) : never
type OptionalKeys<F> = { [K in keyof F]: F[K] extends Field<infer _, 'optional'> ? K : never }[keyof F]
type FieldValues<F> = { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: ValueOf<F[K]> } & {
  readonly [K in OptionalKeys<F>]?: ValueOf<F[K]> | undefined
}
type MessageOf<Table> = {
  [K in keyof Table & string]: { readonly kind: K } & (Table[K] extends { fields: infer F } ? FieldValues<F> : never)
}[keyof Table & string]

/** A message that the side that opened a stream of this rpc may send. */
export type Request<R extends Rpc> = MessageOf<(typeof MESSAGES)[R]['requests']>

/** A message that the serving side may send. */
export type Answer<R extends Rpc> = MessageOf<(typeof MESSAGES)[R]['answers']>

/** A message that every stream may carry: its end, or an error. */
export type CommonMessage = MessageOf<typeof COMMON>

/** A message of unknown kind. Its fields are numbers, texts, bytes, lists of these, and tensors. */
export interface AnyMessage {
  readonly kind: string
}

/** One step of a session: the hidden states on their way through the session's blocks. */
export type StepMessage = Extract<Request<'inference'>, { kind: 'step' }>

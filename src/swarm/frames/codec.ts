import type { Activations } from '../../tensor/activations.ts'
import { errorMessage } from '../../base/errors.ts'
import { SwarmError } from '../errors.ts'
import { RPCS, type Rpc } from '../limits.ts'
import type { AnyField } from './fields.ts'
import { HeaderReader, type HeaderWriter } from './header-bytes.ts'
import { type AnyMessage, COMMON, MESSAGES, type MessageTable } from './messages.ts'

interface NamedField {
  readonly name: string
  readonly field: AnyField
}

interface Layout {
  readonly kind: string
  readonly code: number
  readonly fields: readonly NamedField[]
  readonly byNumber: readonly (NamedField | undefined)[]
}

/** A decoded message; its tensors have dtype and shape but no data yet. */
export type Decoded = Record<string, unknown> & AnyMessage

/** A tensor that a header announces; its bytes are in the payload. */
export interface IncomingTensor {
  readonly name: string
  readonly tensor: Activations
}

/**
 * A message whose header was decoded. `tensors` lists its tensors, by field, in the order in which their data follow in
 * the payload.
 */
export interface Incoming {
  readonly message: Decoded
  readonly tensors: readonly IncomingTensor[]
}

/**
 * Encodes and decodes the headers of all messages that one side of an rpc may send. A header is a byte that says which
 * message it is, followed by the message's fields in protobuf's encoding. Each field may occur once. Fields with
 * unknown numbers are skipped, so that later versions can add optional fields.
 */
export class MessageCodec {
  readonly #side: string
  readonly #byKind: ReadonlyMap<string, Layout>
  readonly #byCode: readonly (Layout | undefined)[]

  /** `side` names the sending side in error messages. */
  constructor(side: string, table: MessageTable) {
    this.#side = side
    const layouts = Object.entries({ ...COMMON, ...table }).map(([kind, { code, fields }]) =>
      layoutOf(kind, code, fields),
    )
    this.#byKind = new Map(layouts.map((layout) => [layout.kind, layout]))
    this.#byCode = sparse(layouts, ({ code }) => code)
  }

  /**
   * Writes a message's header and returns the message's tensors. Throws `SWARM_FRAME` for a message that a receiver
   * would refuse.
   */
  encode(header: HeaderWriter, message: AnyMessage): Activations[] {
    const layout = this.#byKind.get(message.kind)
    if (layout === undefined) throw this.#wrong(`"${message.kind}" is none of its messages`)
    const tensors: Activations[] = []
    header.byte(layout.code)
    for (const { name, field } of layout.fields) {
      const value = (message as Decoded)[name]
      if (field.presence === 'repeated') {
        for (const each of value as readonly unknown[]) this.#write(header, layout, name, field, each)
      } else if (value !== undefined) {
        this.#write(header, layout, name, field, value)
        if (field.isTensor) tensors.push(value as Activations)
      } else if (field.presence === 'required') {
        throw this.#wrong(`"${layout.kind}" lacks its "${name}"`)
      }
    }
    return tensors
  }

  /** Reads a header. The result shares no memory with `bytes`. Throws `SWARM_FRAME`, naming the field. */
  decode(bytes: Uint8Array): Incoming {
    const layout = this.#byCode[bytes[0] ?? -1]
    if (layout === undefined) throw this.#wrong(`there is no message of number ${bytes[0]}`)
    const message: Decoded = { kind: layout.kind }
    const tensors: IncomingTensor[] = []
    for (const { name, field } of layout.fields) if (field.presence === 'repeated') message[name] = []
    const header = new HeaderReader(bytes, 1)
    while (!header.atEnd) {
      const tag = header.varint()
      const known = layout.byNumber[Math.floor(tag / 8)]
      if (known === undefined) {
        header.skip(tag % 8)
        continue
      }
      const { name, field } = known
      const value = this.#read(header, layout, known, tag % 8)
      if (field.presence === 'repeated') (message[name] as unknown[]).push(value)
      else if (message[name] !== undefined) throw this.#wrong(`"${layout.kind}" has its "${name}" twice`)
      else message[name] = value
      if (field.isTensor) tensors.push({ name, tensor: value as Activations })
    }
    for (const { name, field } of layout.fields) {
      if (message[name] === undefined && field.presence === 'required')
        throw this.#wrong(`"${layout.kind}" lacks its "${name}"`)
    }
    return { message, tensors }
  }

  #write(header: HeaderWriter, { kind }: Layout, name: string, field: AnyField, value: unknown): void {
    header.tag(field.number, field.wireType)
    try {
      field.write(header, value)
    } catch (error) {
      throw this.#wrong(`"${name}" of "${kind}" ${errorMessage(error)}`, error)
    }
  }

  #read(header: HeaderReader, { kind }: Layout, { name, field }: NamedField, wireType: number): unknown {
    if (wireType !== field.wireType) throw this.#wrong(`"${name}" of "${kind}" is of another type than ${field.what}`)
    try {
      return field.read(header)
    } catch (error) {
      throw this.#wrong(`"${name}" of "${kind}" ${errorMessage(error)}`, error)
    }
  }

  #wrong(what: string, cause?: unknown): SwarmError {
    return new SwarmError('SWARM_FRAME', `${this.#side}: ${what}`, { cause })
  }
}

function layoutOf(kind: string, code: number, fields: Readonly<Record<string, AnyField>>): Layout {
  const named = Object.entries(fields).map(([name, field]) => ({ name, field }))
  return { kind, code, fields: named, byNumber: sparse(named, ({ field }) => field.number) }
}

function sparse<T>(items: readonly T[], numberOf: (item: T) => number): (T | undefined)[] {
  const result: (T | undefined)[] = []
  for (const item of items) result[numberOf(item)] = item
  return result
}

/**
 * The codecs of an rpc: of requests, sent by the side that opened the stream, and of answers, sent by the serving side.
 */
export interface RpcCodec {
  readonly requests: MessageCodec
  readonly answers: MessageCodec
}

export const CODECS = Object.fromEntries(
  RPCS.map((rpc) => {
    const { requests, answers }: { requests: MessageTable; answers: MessageTable } = MESSAGES[rpc]
    return [
      rpc,
      {
        requests: new MessageCodec(`a request of ${rpc}`, requests),
        answers: new MessageCodec(`an answer of ${rpc}`, answers),
      },
    ]
  }),
) as Record<Rpc, RpcCodec>

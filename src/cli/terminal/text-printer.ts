import { fstatSync } from 'node:fs'
import type { GenerationResult } from '../../client/generation/result.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import type { AutoDistributedModelForCausalLM, Prompt } from '../../client/model/model.ts'
import type { Recovery, Waiting } from '../../client/session/inference-session.ts'
import type { RouteHop } from '../../client/session/server/route-hop.ts'
import { shortPeer } from '../../swarm/short-peer.ts'

/**
 * Prints generated text, and nothing else, on stdout; tells on stderr which servers compute it and what happens
 * meanwhile.
 */
export class TextPrinter {
  readonly #model: AutoDistributedModelForCausalLM
  /** Names of servers that have one, by peer id. */
  readonly #names = new Map<string, string>()
  #withinLine = false
  #route = ''

  constructor(model: AutoDistributedModelForCausalLM) {
    this.#model = model
    model.on('route', (hops) => this.#noteRoute(hops))
    model.on('recovery', (recovery) => this.note(describeRecovery(recovery, this.#names)))
    model.on('waiting', (waiting) => this.note(describeWaiting(waiting)))
  }

  /**
   * Prints a continuation while it is generated: as text or, if the model has no tokenizer, as token ids. Rejects as
   * `stream`.
   */
  async print(prompt: Prompt, options: GenerationOptions): Promise<GenerationResult> {
    const hasText = this.#model.tokenizer !== undefined
    const chunks = this.#model.stream(prompt, options)
    let separator = ''
    for (;;) {
      const next = await chunks.next()
      if (next.done === true) return next.value
      const { text, tokenIds } = next.value
      const piece = hasText ? text : separator + tokenIds.join(' ')
      separator = ' '
      this.write(piece)
    }
  }

  /** Writes a piece of text on stdout. */
  write(piece: string): void {
    if (piece !== '') this.#withinLine = true
    process.stdout.write(piece)
  }

  /** Ends the line of the text. */
  endText(): void {
    this.#withinLine = false
    process.stdout.write('\n')
  }

  /** Writes a line on stderr; below the text where both go to the same place, a terminal or a file. */
  note(line: string): void {
    if (this.#withinLine && (process.stdout.isTTY || isOneOutput())) process.stdout.write('\n')
    this.#withinLine = false
    process.stderr.write(`${line}\n`)
  }

  #noteRoute(hops: readonly RouteHop[]): void {
    for (const { peerId, name } of hops) if (name !== undefined) this.#names.set(peerId, name)
    const route = describeRoute(hops)
    if (route !== this.#route) this.note(route)
    this.#route = route
  }
}

/** Whether stdout and stderr are the same file or pipe, as with `2>&1`. */
function isOneOutput(): boolean {
  try {
    const [out, log] = [fstatSync(process.stdout.fd), fstatSync(process.stderr.fd)]
    return out.dev === log.dev && out.ino === log.ino
  } catch {
    return false
  }
}

function describeRoute(route: readonly RouteHop[]): string {
  const hops = route.map(({ peerId, name, start, end, dtype, quant, wireDType }) => {
    const weights = quant === 'none' ? '' : `, weights in ${quant}`
    const wire = wireDType === dtype ? '' : `, ${wireDType} on the wire`
    return `${start}:${end} on ${name ?? shortPeer(peerId)} (${dtype}${weights}${wire})`
  })
  return `route: blocks ${hops.join(', ')}`
}

function describeRecovery(
  { lost, seconds, replayedTokens, reason, arithmeticChanged }: Recovery,
  names: ReadonlyMap<string, string>,
): string {
  const shown = lost.map((peerId) => names.get(peerId) ?? shortPeer(peerId))
  const who = lost.length === 0 ? 'a server' : shown.join(', ')
  return (
    `recovered from the loss of ${who} in ${seconds.toFixed(1)} s, ${replayedTokens} tokens computed again ` +
    `(${reason})${arithmeticChanged ? '; it computes in another arithmetic, so the text may go on differently' : ''}`
  )
}

/** Tells what is waited for, and for how long. */
export function describeWaiting({ reason, seconds }: Waiting): string {
  return `waiting for at most ${Math.ceil(seconds)} s: ${reason}`
}

const ENDINGS = {
  length: 'as many as were asked for',
  eos: 'the model ended the text',
  stop: 'a stop text came, or all that was asked for',
  criterion: 'a stopping criterion was met',
  time: 'the time was up',
  aborted: 'cut short',
}

/** A text's figures in one line: tokens, times, why it ended and, where tokens were drawn, by which seed. */
export function describeResult(
  { tokenIds, seconds, prefillSeconds, finishReason, seed }: GenerationResult,
  ending = ENDINGS[finishReason],
): string {
  const rate =
    tokenIds.length > 1 ? `, ${((tokenIds.length - 1) / (seconds - prefillSeconds)).toFixed(1)} tokens/s` : ''
  return (
    `${tokenIds.length} tokens in ${seconds.toFixed(2)} s (prompt ${prefillSeconds.toFixed(2)} s${rate}): ` +
    `${ending}${seed === undefined ? '' : `; seed ${seed}`}`
  )
}

import { signal } from '@preact/signals'
import { ApiFailure } from '../../shared/api.ts'
import { askAgain } from '../../shared/api-key.ts'
import { type AnswerEvent, type SwarmNews, streamAnswer } from './completion.ts'
import { type AnswerFacts, type Message, messagesUpTo, withChanged, withMessage } from './conversation.ts'
import { change, current, keep, keepAtOnce } from './state.ts'

/** What is being answered: the function that stops it, by conversation. */
export const answering = signal<ReadonlyMap<string, () => void>>(new Map())

/** Said aloud by screen readers when an answer begins, is repaired, or ends. */
export const spoken = signal('')

/** How often what has come is drawn, and written down. */
const DRAW_MS = 40
const KEEP_MS = 2000

/** Sends a message after the last one that is shown, or in place of another version of it. */
export function send(text: string, parent: string | null): void {
  const { id } = current.value
  if (answering.value.has(id)) return
  let sent: Message | undefined
  change(id, (conversation) => {
    const added = withMessage(conversation, { role: 'user', text, parent })
    sent = added.message
    return added.conversation
  })
  void answer(sent!.id)
}

/** Has a question answered once more. */
export function retry(message: Message): void {
  if (message.parent !== null && !answering.value.has(current.value.id)) void answer(message.parent)
}

export function stop(): void {
  answering.value.get(current.value.id)?.()
}

/** What has come of an answer when the page is closed is not lost. */
export function keepOnLeaving(): void {
  addEventListener('pagehide', () => keepAtOnce(answering.value.keys()))
}

async function answer(question: string): Promise<void> {
  const conversation = current.value
  const { id, model } = conversation
  const facts: AnswerFacts = { model, state: 'streaming', incidents: [] }
  let answerId = ''
  change(id, (before) => {
    const added = withMessage(before, { role: 'assistant', text: '', parent: question, facts })
    answerId = added.message.id
    return added.conversation
  })
  void keep(id)
  const abort = new AbortController()
  answering.value = new Map(answering.value).set(id, () => abort.abort())
  spoken.value = 'The model answers.'
  askAgain()
  const draft = new Draft(id, answerId)
  try {
    for await (const event of streamAnswer(conversation, messagesUpTo(conversation, question), abort.signal))
      draft.add(event)
    draft.end({ state: 'done' })
    spoken.value = 'The answer is complete.'
  } catch (error) {
    draft.end(abort.signal.aborted ? { state: 'stopped' } : { state: 'failed', error: told(error) })
    spoken.value = abort.signal.aborted ? 'Stopped.' : `The answer failed: ${told(error).message}`
  } finally {
    const others = new Map(answering.value)
    others.delete(id)
    answering.value = others
  }
}

/** An answer as it comes: what has come is drawn some twenty times a second, and kept every few seconds. */
class Draft {
  readonly #conversation: string
  readonly #message: string
  #text = ''
  #reasoning = ''
  #facts: Partial<AnswerFacts> = {}
  #incidents: AnswerFacts['incidents'] = []
  #numPieces = 0
  #firstAt = 0
  #drawTimer = 0
  #keepTimer = 0

  constructor(conversation: string, message: string) {
    this.#conversation = conversation
    this.#message = message
  }

  add(event: AnswerEvent): void {
    if (event.kind === 'text' || event.kind === 'reasoning') this.#count()
    if (event.kind === 'text') this.#text += event.text
    else if (event.kind === 'reasoning') this.#reasoning += event.text
    else if (event.kind === 'swarm') this.#note(event)
    else this.#facts = { ...this.#facts, ...factsOf(event) }
    this.#drawTimer ||= setTimeout(() => this.#draw(), DRAW_MS)
    this.#keepTimer ||= setTimeout(() => this.#keep(), KEEP_MS)
  }

  end(facts: Partial<AnswerFacts>): void {
    clearTimeout(this.#drawTimer)
    clearTimeout(this.#keepTimer)
    this.#facts = { ...this.#facts, ...facts }
    this.#draw()
    this.#keep()
  }

  /** A piece is a token, nearly always: until the end tells the true rate. */
  #count(): void {
    const now = performance.now()
    if (this.#numPieces === 0) this.#firstAt = now
    else if (now > this.#firstAt)
      this.#facts = { ...this.#facts, tokensPerSecond: (this.#numPieces * 1000) / (now - this.#firstAt) }
    this.#numPieces += 1
  }

  #note({ chain, recoveries, waiting }: SwarmNews): void {
    const isNew = waiting !== undefined && this.#facts.waits !== true
    if (chain.length > 0) this.#facts = { ...this.#facts, chain }
    this.#facts = { ...this.#facts, waits: waiting !== undefined }
    const known = this.#incidents.filter(({ kind }) => kind === 'recovery').length
    const repairs = recoveries.slice(known).map((recovery) => ({ kind: 'recovery' as const, ...recovery }))
    const waits = isNew ? [{ kind: 'waiting' as const, ...waiting }] : []
    this.#incidents = [...this.#incidents, ...repairs, ...waits]
    if (repairs.length > 0) spoken.value = 'A server was lost and replaced; the answer goes on.'
    else if (isNew) spoken.value = 'Waiting for servers.'
  }

  #draw(): void {
    this.#drawTimer = 0
    change(this.#conversation, (conversation) =>
      withChanged(conversation, this.#message, (message) => ({
        ...message,
        text: this.#text,
        facts: {
          ...message.facts!,
          ...this.#facts,
          ...(this.#reasoning !== '' && { reasoning: this.#reasoning }),
          incidents: this.#incidents,
        },
      })),
    )
  }

  #keep(): void {
    this.#keepTimer = 0
    void keep(this.#conversation)
  }
}

function factsOf(event: AnswerEvent): Partial<AnswerFacts> {
  if (event.kind === 'finish') return { finish: event.reason }
  if (event.kind === 'usage') return { promptTokens: event.prompt, cachedTokens: event.cached, tokens: event.answer }
  if (event.kind === 'timings')
    return { firstTokenSeconds: event.firstTokenSeconds, tokensPerSecond: event.tokensPerSecond }
  return {}
}

/** What is kept of an error: plain data, since the browser keeps of an error no more than its message. */
function told(error: unknown): NonNullable<AnswerFacts['error']> {
  if (error instanceof ApiFailure) {
    const { message, code, missingBlocks } = error
    return { message, code, missingBlocks }
  }
  return { message: error instanceof Error ? error.message : String(error), code: 'unknown', missingBlocks: [] }
}

/** A server of the chain that computed an answer. */
export interface Hop {
  readonly peer: string
  readonly name?: string
  /** START:END */
  readonly blocks: string
  readonly device: string
  readonly dtype: string
  readonly quant: string
}

/** Servers that were lost in mid-answer, and replaced. */
export interface Recovery {
  /** Peer ids. */
  readonly lost: readonly string[]
  readonly seconds: number
  /** Tokens that their replacements computed again. */
  readonly replayed: number
}

/** A time in which an answer could not go on for lack of servers. */
export interface Waiting {
  readonly reason: string
  readonly missingBlocks: readonly number[]
}

/** What happened to an answer on its way through the swarm. */
export type Incident = ({ readonly kind: 'recovery' } & Recovery) | ({ readonly kind: 'waiting' } & Waiting)

/** How an answer went. */
export interface AnswerFacts {
  readonly model: string
  readonly state: 'streaming' | 'done' | 'stopped' | 'failed'
  /** Why it ended: `stop`, or `length` where the limit of tokens was reached. */
  readonly finish?: string
  readonly reasoning?: string
  readonly error?: { readonly message: string; readonly code: string; readonly missingBlocks: readonly number[] }
  readonly promptTokens?: number
  readonly cachedTokens?: number
  readonly tokens?: number
  readonly tokensPerSecond?: number
  readonly firstTokenSeconds?: number
  readonly chain?: readonly Hop[]
  readonly incidents: readonly Incident[]
  /** Whether it waits for servers just now. */
  readonly waits?: boolean
}

/** One message. Several with the same parent are versions of each other: edits of a question, retries of an answer. */
export interface Message {
  readonly id: string
  /** The message before it; null for the first. */
  readonly parent: string | null
  readonly role: 'user' | 'assistant'
  readonly text: string
  readonly at: number
  /** Of an answer. */
  readonly facts?: AnswerFacts
}

/** How answers are chosen; what is absent is the model's own default. */
export interface Sampling {
  readonly temperature?: number
  readonly topP?: number
  readonly topK?: number
  readonly minP?: number
  readonly repetitionPenalty?: number
  readonly maxTokens?: number
  readonly seed?: number
  readonly stop?: readonly string[]
}

/** A conversation with all versions of its messages. Immutable: changes make a new one. */
export interface Conversation {
  readonly id: string
  readonly title: string
  readonly created: number
  readonly updated: number
  /** The model that is asked next. */
  readonly model: string
  readonly system: string
  readonly sampling: Sampling
  readonly messages: readonly Message[]
  /** Of messages with several versions after them, the one that is shown; by the parent's id, '' for the first. */
  readonly shown: Readonly<Record<string, string>>
}

const TITLE_CHARS = 60

export function newConversation(model: string): Conversation {
  const now = Date.now()
  return {
    id: newId(),
    title: '',
    created: now,
    updated: now,
    model,
    system: '',
    sampling: {},
    messages: [],
    shown: {},
  }
}

/** The messages that are shown, in order. */
export function shownMessages({ messages, shown }: Conversation): Message[] {
  const path: Message[] = []
  for (let parent: string | null = null; ;) {
    const versions = messages.filter((message) => message.parent === parent)
    const next = versions.find(({ id }) => id === shown[parent ?? '']) ?? versions.at(-1)
    if (next === undefined) return path
    path.push(next)
    parent = next.id
  }
}

/** The messages that lead to one, which is the last of them. */
export function messagesUpTo(conversation: Conversation, id: string): Message[] {
  const byId = new Map(conversation.messages.map((message) => [message.id, message]))
  const path: Message[] = []
  for (let message = byId.get(id); message !== undefined; message = byId.get(message.parent ?? ''))
    path.unshift(message)
  return path
}

/** The messages that stand in the same place, in the order in which they came. */
export function versionsOf({ messages }: Conversation, { parent }: Message): Message[] {
  return messages.filter((message) => message.parent === parent)
}

/** With a message after `parent`, which is shown from now on. */
export function withMessage(
  conversation: Conversation,
  message: Omit<Message, 'id' | 'at'>,
): { readonly conversation: Conversation; readonly message: Message } {
  const added: Message = { ...message, id: newId(), at: Date.now() }
  const { messages } = conversation
  const title = conversation.title === '' && added.role === 'user' ? titleOf(added.text) : conversation.title
  const changed = { ...conversation, title, messages: [...messages, added], updated: added.at }
  return { conversation: showing(changed, added), message: added }
}

/** With a message changed. */
export function withChanged(
  conversation: Conversation,
  id: string,
  change: (message: Message) => Message,
): Conversation {
  const messages = conversation.messages.map((message) => (message.id === id ? change(message) : message))
  return { ...conversation, messages }
}

/** With another version of a message shown. */
export function showing(conversation: Conversation, { id, parent }: Pick<Message, 'id' | 'parent'>): Conversation {
  return { ...conversation, shown: { ...conversation.shown, [parent ?? '']: id } }
}

/** As it is when it is read again: what was being answered when the page was closed is not any more. */
export function asRead(conversation: Conversation): Conversation {
  return {
    ...conversation,
    messages: conversation.messages.map((message) =>
      message.facts?.state === 'streaming' ? { ...message, facts: { ...message.facts, state: 'stopped' } } : message,
    ),
  }
}

/**
 * A conversation as two pages have it, with the messages of both: of one that both have, the copy that has come
 * further, and of two that are as far the `newer` one's, whose title, settings and choice of versions hold, too.
 */
export function merged(older: Conversation, newer: Conversation): Conversation {
  const messages = new Map(older.messages.map((message) => [message.id, message]))
  for (const message of newer.messages) {
    const known = messages.get(message.id)
    if (known === undefined || isFurther(message, known)) messages.set(message.id, message)
  }
  return {
    ...newer,
    updated: Math.max(older.updated, newer.updated),
    messages: [...messages.values()].sort((a, b) => a.at - b.at),
    shown: { ...older.shown, ...newer.shown },
  }
}

/** An answer that is still written by another page looks as if it had been stopped: that says nothing new. */
function isFurther({ text, facts }: Message, known: Message): boolean {
  return text.length > known.text.length || (text.length === known.text.length && facts?.state !== 'stopped')
}

/** The conversation as a Markdown document, as it is shown. */
export function asMarkdown(conversation: Conversation): string {
  const parts = shownMessages(conversation).map(
    ({ role, text }) => `**${role === 'user' ? 'You' : 'Model'}:**\n\n${text}`,
  )
  const system = conversation.system === '' ? [] : [`> ${conversation.system.replaceAll('\n', '\n> ')}`]
  return [`# ${conversation.title}`, ...system, ...parts].join('\n\n') + '\n'
}

function titleOf(text: string): string {
  const line = text.trim().split('\n', 1)[0]!.trim()
  return line.length <= TITLE_CHARS ? line : `${line.slice(0, TITLE_CHARS - 1).trimEnd()}…`
}

/** Not crypto.randomUUID: that is only there where the page came over TLS or from localhost. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

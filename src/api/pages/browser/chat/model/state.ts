import { computed, signal } from '@preact/signals'
import { type Conversation, merged, newConversation } from './conversation.ts'
import { type Change, ConversationStore } from './store.ts'

const MODEL_STORED_AS = 'petals-model'

/** All conversations that have messages, the latest first. */
export const conversations = signal<readonly Conversation[]>([])

/** The conversation that is shown: one of these, or one that has no message yet. */
export const current = signal<Conversation>(newConversation(lastModel()))

/** Something that was deleted, for a while: it can be had back. */
export const deleted = signal<Conversation | undefined>(undefined)

/** What was typed and not sent, by conversation. */
export const drafts = new Map<string, string>()

/** Whether conversations outlast the page. */
export const isKept = signal(true)

/** Why the conversation that was changed last could not be written down. */
export const keepTrouble = signal<string | undefined>(undefined)

export const isEmpty = computed(() => current.value.messages.length === 0)

const UNDO_MS = 10_000

let store: ConversationStore | undefined
let undoTimer = 0

/** Reads what is kept, and shows the conversation that the address names. */
export async function openConversations(): Promise<void> {
  store = await ConversationStore.open()
  isKept.value = store.keeps
  try {
    conversations.value = await store.all()
  } catch (error) {
    noteTrouble(error)
  }
  store.watch((change) => void follow(change))
  addEventListener('hashchange', showNamed)
  showNamed()
}

/** Shows a conversation; the address names it, so that the browser's own ways back work. */
export function show({ id }: Conversation): void {
  location.hash = id
}

/** Shows an empty conversation. */
export function startNew(): void {
  if (location.hash !== '') history.pushState(undefined, '', location.pathname + location.search)
  current.value = newConversation(lastModel())
}

/** Changes a conversation wherever it is shown, and keeps it once it has a message. */
export function change(id: string, how: (conversation: Conversation) => Conversation): void {
  const before = current.value.id === id ? current.value : conversations.value.find((each) => each.id === id)
  if (before === undefined) return
  const after = how(before)
  if (current.value.id === id) current.value = after
  if (after.messages.length === 0) return
  const others = conversations.value.filter((each) => each.id !== id)
  const isNew = others.length === conversations.value.length
  conversations.value = [after, ...others].sort((a, b) => b.updated - a.updated)
  if (isNew) history.replaceState(undefined, '', `#${id}`)
}

/** Writes a conversation down as it is now. Where that fails, `keepTrouble` says so. */
export async function keep(id: string): Promise<void> {
  const conversation = conversations.value.find((each) => each.id === id)
  if (conversation === undefined) return
  try {
    await store?.put(conversation)
    keepTrouble.value = undefined
  } catch (error) {
    noteTrouble(error)
  }
}

/** Writes conversations down while the page is closed. */
export function keepAtOnce(ids: Iterable<string>): void {
  for (const id of ids) {
    const conversation = conversations.value.find((each) => each.id === id)
    if (conversation !== undefined) store?.putAtOnce(conversation)
  }
}

/** Changes a conversation and writes it down. */
export function changeAndKeep(id: string, how: (conversation: Conversation) => Conversation): void {
  change(id, how)
  void keep(id)
}

export function remove(conversation: Conversation): void {
  conversations.value = conversations.value.filter(({ id }) => id !== conversation.id)
  void store?.delete(conversation.id).catch(noteTrouble)
  if (current.value.id === conversation.id) startNew()
  deleted.value = conversation
  clearTimeout(undoTimer)
  undoTimer = setTimeout(() => (deleted.value = undefined), UNDO_MS)
}

/** Brings back what was deleted last. */
export function undoRemove(): void {
  const conversation = deleted.value
  if (conversation === undefined) return
  deleted.value = undefined
  conversations.value = [...conversations.value, conversation].sort((a, b) => b.updated - a.updated)
  void keep(conversation.id)
  show(conversation)
}

/** The model that the next conversation begins with. */
export function rememberModel(model: string): void {
  try {
    localStorage.setItem(MODEL_STORED_AS, model)
  } catch {
    // It is chosen again next time.
  }
}

function lastModel(): string {
  try {
    return localStorage.getItem(MODEL_STORED_AS) ?? ''
  } catch {
    return ''
  }
}

/** Takes over what another page of this browser has changed. */
async function follow({ id, isDeleted }: Change): Promise<void> {
  if (isDeleted) {
    conversations.value = conversations.value.filter((each) => each.id !== id)
    if (current.value.id === id) startNew()
    return
  }
  const theirs = await store!.get(id).catch(() => undefined)
  if (theirs === undefined) return
  if (conversations.value.some((each) => each.id === id))
    change(id, (before) => ({ ...merged(before, theirs), shown: { ...theirs.shown, ...before.shown } }))
  else conversations.value = [...conversations.value, theirs].sort((a, b) => b.updated - a.updated)
}

function noteTrouble(error: unknown): void {
  const isFull = error instanceof DOMException && error.name === 'QuotaExceededError'
  keepTrouble.value = isFull ? 'the storage of this browser is full' : String((error as Error | null)?.message ?? error)
}

function showNamed(): void {
  const id = location.hash.slice(1)
  if (id === current.value.id) return
  const named = conversations.value.find((each) => each.id === id)
  if (named !== undefined) current.value = named
  else if (current.value.messages.length > 0) current.value = newConversation(lastModel())
}

import { type MessagePort, MessageChannel, type Transferable, receiveMessageOnPort } from 'node:worker_threads'
import { sharedTurns } from '../shared-turns.ts'

/**
 * Messages to a thread that spends its life in synchronous native calls: it sleeps in `Atomics.wait` and takes its
 * messages without an event loop, which saves most of a round trip (30 instead of 210 us). Calls of `base/thread` need
 * an event loop in the thread, so they are for threads that are asked rarely. Answers go back over the same port as
 * ordinary message events.
 */
export interface SyncChannel extends SyncSender {
  /** Hand this to the worker (transfer `receiver.port`). */
  readonly receiver: SyncReceiver
}

/** The sending end, which may go to another thread as well (transfer `port`). */
export interface SyncSender {
  readonly port: MessagePort
  readonly signal: SharedArrayBuffer
}

/** The receiving end, which travels to the worker thread. */
export interface SyncReceiver {
  readonly port: MessagePort
  readonly signal: SharedArrayBuffer
}

/** Makes a channel; its counter of messages lies in shared memory, where the receiver sleeps on it. */
export function createSyncChannel(): SyncChannel {
  const { port1, port2 } = new MessageChannel()
  const signal = new SharedArrayBuffer(4)
  return { port: port1, signal, receiver: { port: port2, signal } }
}

/** Sends a message and wakes the receiving thread. `transfer`: what of it is transferred instead of copied. */
export function postSync(sender: SyncSender, message: unknown, transfer: Transferable[] = []): void {
  postAll(sender, [message], transfer)
}

/** Sends a message without waking the receiving thread, which reads it before the next one that wakes it. */
export function postAsleep({ port }: SyncSender, message: unknown): void {
  port.postMessage([message], [])
}

function postAll(sender: SyncSender, messages: readonly unknown[], transfer: readonly Transferable[]): void {
  sender.port.postMessage(messages, transfer)
  const signal = new Int32Array(sender.signal)
  Atomics.add(signal, 0, 1)
  Atomics.notify(signal, 0)
}

/**
 * Sends all messages that come within one turn of the event loop as one, and wakes the receiving thread once: what many
 * sessions ask for at the same moment. What a message points to must not change until the turn is over.
 */
export class SyncOutbox {
  readonly #sender: SyncSender
  #messages: unknown[] = []
  #transfer: Transferable[] = []

  constructor(sender: SyncSender) {
    this.#sender = sender
  }

  /** As `postSync`, at the end of the turn. */
  post(message: unknown, transfer: readonly Transferable[] = []): void {
    if (this.#messages.push(message) === 1) sharedTurns.behind(() => this.flush())
    for (const each of transfer) this.#transfer.push(each)
  }

  /** Sends what waits, now: before a message that is sent past this box. */
  flush(): void {
    if (this.#messages.length === 0) return
    const [messages, transfer] = [this.#messages, this.#transfer]
    this.#messages = []
    this.#transfer = []
    postAll(this.#sender, messages, transfer)
  }
}

/**
 * The worker's side: everything that has arrived; where nothing has, sleeps until something does, for at most `waitMs`
 * milliseconds.
 */
export function* receiveSync<T>(receiver: SyncReceiver, waitMs: number): Generator<T> {
  const signal = new Int32Array(receiver.signal)
  for (let received = 0; ;) {
    const seen = Atomics.load(signal, 0)
    for (
      let next = receiveMessageOnPort(receiver.port);
      next !== undefined;
      next = receiveMessageOnPort(receiver.port)
    ) {
      for (const message of next.message as T[]) {
        received++
        yield message
      }
    }
    if (waitMs <= 0 || received > 0 || Atomics.wait(signal, 0, seen, waitMs) === 'timed-out') return
  }
}

/**
 * As `receiveSync`, for however long it takes. Until something arrives `spare` is called again and again, as long as it
 * finds something to do: work that nobody waits for yet.
 */
export function* receiveOrSpare<T>(receiver: SyncReceiver, spare: () => boolean): Generator<T> {
  for (let isIdle = false, received = 0; received === 0;) {
    for (const message of receiveSync<T>(receiver, isIdle ? Infinity : 0)) {
      received++
      yield message
    }
    isIdle = received === 0 && !spare()
  }
}

/**
 * The same bytes in an ArrayBuffer that holds nothing else and so can be transferred to another thread. Copies only a
 * view of a larger or shared buffer.
 */
export function transferable(data: Uint8Array): Uint8Array {
  const whole =
    data.byteOffset === 0 && data.byteLength === data.buffer.byteLength && data.buffer instanceof ArrayBuffer
  return whole ? data : data.slice()
}

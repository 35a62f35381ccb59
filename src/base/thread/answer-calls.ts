import { type Transferable, parentPort } from 'node:worker_threads'
import { errorCode, errorMessage } from '../errors.ts'
import type { AnswerOf, ArgsOf, Call, CallMessage, Calls, CallFault, ReportOf, ThreadMessage } from './calls.ts'

/**
 * An answer together with the memory to be transferred with it instead of copied. The thread that answers can no longer
 * use `buffers` afterwards.
 */
export class Transferred<T> {
  readonly answer: T
  readonly buffers: readonly Transferable[]

  constructor(answer: T, buffers: readonly Transferable[]) {
    this.answer = answer
    this.buffers = buffers
  }
}

/** The function that computes one call's answer; `report` sends something to the caller before the answer. */
type Handler<F extends Call, A = AnswerOf<F>> = (
  args: ArgsOf<F>,
  report: (report: ReportOf<F>) => void,
) => A | Transferred<A> | Promise<A | Transferred<A>>

/** One handler for each call that a thread answers. */
export type Handlers<C extends Calls<C>> = { readonly [K in keyof C]: Handler<C[K]> }

/**
 * The worker's side of calls between threads: answers calls in the order in which they arrive, until the thread's owner
 * ends it. `prepare` runs once, before the first call, and returns the handlers; if it throws, the owner is told that
 * the thread cannot be used.
 */
export function answerCalls<C extends Calls<C>>(prepare: () => Handlers<C>): void {
  let handlers: Handlers<C>
  try {
    handlers = prepare()
  } catch (error) {
    post({ type: 'unusable', fault: faultOf(error) })
    return
  }
  parentPort!.on('message', ({ id, name, args }: CallMessage) => {
    void answer(handlers[name as keyof C] as Handler<Call>, id, args)
  })
  post({ type: 'started' })
}

async function answer(handler: Handler<Call>, id: number, args: unknown): Promise<void> {
  try {
    const report = (report: unknown) => post({ type: 'report', id, report })
    const given = handler(args as never, report as never)
    // Awaits only a promise: awaiting a finished answer would let the next call, maybe a long one, run before this
    // answer is posted.
    const result = given instanceof Promise ? await given : given
    if (result instanceof Transferred) post({ type: 'answer', id, answer: result.answer }, result.buffers)
    else post({ type: 'answer', id, answer: result })
  } catch (error) {
    post({ type: 'fault', id, fault: faultOf(error) })
  }
}

function faultOf(error: unknown): CallFault {
  const name = error instanceof Error ? error.name : 'Error'
  return { name, code: errorCode(error), message: errorMessage(error) }
}

function post(message: ThreadMessage, transfer: readonly Transferable[] = []): void {
  parentPort!.postMessage(message, transfer)
}

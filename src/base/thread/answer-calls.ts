import { type Transferable, parentPort } from 'node:worker_threads'
import { errorCode, errorMessage } from '../errors.ts'
import type { Answer, Args, Call, CallMessage, Calls, CallFault, Report, ThreadMessage } from './calls.ts'

/** An answer that hands over memory instead of copying it: the thread has it no more. */
export class Transferred<T> {
  readonly answer: T
  readonly buffers: readonly Transferable[]

  constructor(answer: T, buffers: readonly Transferable[]) {
    this.answer = answer
    this.buffers = buffers
  }
}

type Handler<F extends Call, A = Answer<F>> = (
  args: Args<F>,
  report: (report: Report<F>) => void,
) => A | Transferred<A> | Promise<A | Transferred<A>>

export type Handlers<C extends Calls<C>> = { readonly [K in keyof C]: Handler<C[K]> }

/**
 * A thread's side of its calls: answers them, in the order in which they come, until the thread is ended by its owner.
 * `prepare` is called once, before the first of them; where it throws, the thread is of no use and its owner is told.
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
    // Without a pause where there is nothing to wait for: the next call may be long.
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

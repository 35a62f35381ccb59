/**
 * What a thread can be asked, written as an interface of functions: each takes one piece of plain data, and a function
 * that it may report to on the way. `Thread` is the caller's side, `answerCalls` the thread's.
 */
export type Calls<C> = { readonly [K in keyof C]: Call }

export type Call = (args: never, report: never) => unknown

/** What a call is given, what it answers, and what it reports before it has answered. */
export type Args<F extends Call> = Parameters<F>[0]
export type Answer<F extends Call> = Awaited<ReturnType<F>>
export type Report<F extends Call> = Parameters<F>[1] extends (report: infer R) => void ? R : never

/** An error on its way to another thread: of its class only the name and the code arrive. */
export interface CallFault {
  readonly name: string
  readonly code: string
  readonly message: string
}

export interface CallMessage {
  readonly id: number
  readonly name: string
  readonly args: unknown
}

/** The first message is `started` or `unusable`; then come, for each call, reports and one answer or fault. */
export type ThreadMessage =
  | { readonly type: 'started' }
  | { readonly type: 'unusable'; readonly fault: CallFault }
  | { readonly type: 'report'; readonly id: number; readonly report: unknown }
  | { readonly type: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly type: 'fault'; readonly id: number; readonly fault: CallFault }

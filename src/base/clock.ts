/** Milliseconds of a clock that never goes back and is the same in all threads of a process. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/**
 * Polls until the condition holds; fails with its text where it does not within a generous time: machines are busy, and
 * only a failure takes that long.
 */
export async function eventually(condition: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> {
  const deadlineMs = Date.now() + withinMs
  for (let pauseMs = 5; !(await condition()); pauseMs = Math.min(50, 1.3 * pauseMs)) {
    if (Date.now() > deadlineMs) throw new Error(`still not true: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

/**
 * Polls until the condition holds; fails with its text where it does not within a generous time: machines are busy, and
 * only a failure takes that long.
 */
export async function eventually(condition: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> {
  const deadlineMs = Date.now() + withinMs
  while (!(await condition())) {
    if (Date.now() > deadlineMs) throw new Error(`still not true: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

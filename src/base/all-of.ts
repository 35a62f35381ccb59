/** As `Promise.all`, but where one rejects, only once none is under way any more: what follows may undo their work. */
export async function allOf<T extends readonly unknown[]>(
  ...promises: { readonly [K in keyof T]: Promise<T[K]> }
): Promise<T> {
  await Promise.allSettled(promises)
  return (await Promise.all(promises)) as unknown as T
}

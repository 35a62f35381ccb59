/**
 * The file of worker `name` beside the module whose `import.meta.url` is given: `.ts` where sources run as they are,
 * `.js` in the built package.
 */
export function workerUrl(importMetaUrl: string, name: string): URL {
  const extension = new URL(importMetaUrl).pathname.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`./${name}.${extension}`, importMetaUrl)
}

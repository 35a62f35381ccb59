/**
 * Where module `name` (a relative path without extension) lies, seen from the module whose `import.meta.url` is given:
 * `.ts` where sources run as they are, `.js` in the built package.
 */
export function moduleUrl(importMetaUrl: string, name: string): URL {
  const extension = new URL(importMetaUrl).pathname.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`./${name}.${extension}`, importMetaUrl)
}

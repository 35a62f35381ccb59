import { createHash } from 'node:crypto'

/** What a page's document loads; all paths are relative to the page, so that a proxy may put it below a path. */
export interface PageParts {
  readonly title: string
  readonly description: string
  /** Its first module. */
  readonly entry: string
  readonly styles: readonly string[]
  /** Script that runs before anything is drawn. */
  readonly early: string
  /** Modules that the entry will import, fetched at once instead of one after another. */
  readonly preloads: readonly string[]
  /** Where modules that are imported by name lie. */
  readonly imports: Readonly<Record<string, string>>
}

/** A document, and the policy under which browsers run it. */
export interface PageDocument {
  readonly html: string
  readonly policy: string
}

/**
 * The document of a page. Its policy lets it load what this server serves and nothing else, run no inline script but
 * the import map, and write HTML only through DOMPurify.
 */
export function pageDocument(parts: PageParts): PageDocument {
  const importMap = JSON.stringify({ imports: parts.imports })
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
<meta name="color-scheme" content="light dark">
<meta name="description" content="${parts.description}">
<title>${parts.title}</title>
<link rel="icon" href="./pages/icon.svg" type="image/svg+xml">
${parts.styles.map((href) => `<link rel="stylesheet" href="${href}">`).join('\n')}
<script src="${parts.early}"></script>
<script type="importmap">${importMap}</script>
${parts.preloads.map((href) => `<link rel="modulepreload" href="${href}">`).join('\n')}
<script type="module" src="${parts.entry}"></script>
</head>
<body>
<div id="page"></div>
<noscript><p class="noscript">This page needs JavaScript. The API works without it: see /v1/models.</p></noscript>
</body>
</html>
`
  return { html, policy: policyWith(sha256(importMap)) }
}

function policyWith(importMapHash: string): string {
  return [
    `default-src 'none'`,
    `script-src 'self' '${importMapHash}'`,
    `style-src 'self'`,
    `img-src 'self'`,
    `connect-src 'self'`,
    `base-uri 'none'`,
    `form-action 'none'`,
    `frame-ancestors 'none'`,
    `require-trusted-types-for 'script'`,
    `trusted-types dompurify`,
  ].join('; ')
}

function sha256(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}

import { fileURLToPath } from 'node:url'

/** Libraries that the pages import by name: their main modules, as npm installed them. */
const LIBRARIES = ['preact', 'preact/hooks', 'htm', '@preact/signals', '@preact/signals-core', 'marked', 'dompurify']

/** What colours code; each language is a module that is loaded when it is met. */
const HIGHLIGHTER = '@highlightjs/cdn-assets/es/'
const CODE_LANGUAGES = [
  'bash',
  'c',
  'cpp',
  'csharp',
  'css',
  'diff',
  'dockerfile',
  'go',
  'ini',
  'java',
  'javascript',
  'json',
  'kotlin',
  'lua',
  'markdown',
  'php',
  'python',
  'ruby',
  'rust',
  'sql',
  'swift',
  'typescript',
  'xml',
  'yaml',
]

/** A library's module: under which name pages import it, and its path below their folder of libraries. */
export interface VendorFile {
  readonly specifier: string
  readonly path: string
}

/** All library modules that pages may load. */
export const VENDOR_FILES: readonly VendorFile[] = [
  ...LIBRARIES,
  `${HIGHLIGHTER}core.min.js`,
  ...CODE_LANGUAGES.map((language) => `${HIGHLIGHTER}languages/${language}.min.js`),
].map((specifier) => ({ specifier, path: specifier.endsWith('.js') ? specifier : `${specifier}.js` }))

/** Where a module lies, as npm installed it. Throws if it is not installed. */
export function installedFile({ specifier }: VendorFile): string {
  return fileURLToPath(import.meta.resolve(specifier))
}

import { fileURLToPath } from 'node:url'

/** Libraries that the pages import by name: their main modules, as npm installed them. */
const LIBRARIES = ['preact', 'preact/hooks', 'htm', '@preact/signals', '@preact/signals-core', 'marked', 'dompurify']

/** What colours code; each language is a module that is loaded when it is met. */
const HIGHLIGHTER = '@highlightjs/cdn-assets/es/'
export const CODE_LANGUAGES = [
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

/** A library's module: under which name pages import it, and where its file lies. */
export interface VendorFile {
  readonly specifier: string
  /** Its path below the pages' folder of libraries. */
  readonly path: string
  readonly file: string
}

/** All library modules that pages may load. Throws where one is not installed. */
export function vendorFiles(): VendorFile[] {
  const modules = [
    ...LIBRARIES,
    `${HIGHLIGHTER}core.min.js`,
    ...CODE_LANGUAGES.map((language) => `${HIGHLIGHTER}languages/${language}.min.js`),
  ]
  return modules.map((specifier) => ({
    specifier,
    path: specifier.endsWith('.js') ? specifier : `${specifier}.js`,
    file: fileURLToPath(import.meta.resolve(specifier)),
  }))
}

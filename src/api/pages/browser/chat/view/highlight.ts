import { signal } from '@preact/signals'
import highlighter from '@highlightjs/cdn-assets/es/core.min.js'

/** Rises when a language has been loaded: code in it can be coloured from then on. */
export const languagesLoaded = signal(0)

/** Names that fenced blocks use, by the language that they mean. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  bash: ['bash', 'sh', 'shell', 'zsh', 'console'],
  c: ['c', 'h'],
  cpp: ['cpp', 'c++', 'cc', 'hpp'],
  csharp: ['csharp', 'c#', 'cs'],
  css: ['css'],
  diff: ['diff', 'patch'],
  dockerfile: ['dockerfile', 'docker'],
  go: ['go', 'golang'],
  ini: ['ini', 'toml'],
  java: ['java'],
  javascript: ['javascript', 'js', 'jsx', 'mjs'],
  json: ['json', 'jsonc'],
  kotlin: ['kotlin', 'kt'],
  lua: ['lua'],
  markdown: ['markdown', 'md'],
  php: ['php'],
  python: ['python', 'py'],
  ruby: ['ruby', 'rb'],
  rust: ['rust', 'rs'],
  sql: ['sql'],
  swift: ['swift'],
  typescript: ['typescript', 'ts', 'tsx'],
  xml: ['xml', 'html', 'svg'],
  yaml: ['yaml', 'yml'],
}

const LANGUAGES = new Map(Object.entries(NAMES).flatMap(([language, names]) => names.map((name) => [name, language])))

/** Colouring more would hold up the page. */
const MAX_CHARS = 50_000

const asked = new Set<string>()

/** Code with its words marked, as HTML; undefined where its language is unknown, or not loaded yet. */
export function highlighted(code: string, name: string): string | undefined {
  const language = LANGUAGES.get(name)
  if (language === undefined || code.length > MAX_CHARS) return undefined
  if (highlighter.getLanguage(language) !== undefined)
    return highlighter.highlight(code, { language, ignoreIllegals: true }).value
  if (!asked.has(language)) void load(language)
  return undefined
}

async function load(language: string): Promise<void> {
  asked.add(language)
  try {
    const { default: definition } = await import(`@highlightjs/cdn-assets/es/languages/${language}.min.js`)
    highlighter.registerLanguage(language, definition)
    languagesLoaded.value += 1
  } catch {
    // Without it code is shown in one colour.
    asked.delete(language)
  }
}

import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { browserModule } from './browser-module.ts'
import { type PageParts, pageDocument } from './page-html.ts'
import { VENDOR_FILES, installedFile } from './vendor-files.ts'

/** A file as browsers get it. */
export interface PageFile {
  readonly contentType: string
  /** Names the content; it changes with it. */
  readonly etag: string
  readonly body: Buffer
  readonly gzipped: Buffer
  /** For a document: what it may do. */
  readonly policy?: string | undefined
}

/** Makes a file's content at its first request. */
type Source = () => Promise<{ readonly text: string; readonly contentType: string; readonly policy?: string }>

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** A build has all that pages load, as browsers get it; a checkout has sources, and npm's packages. */
const IS_BUILT = !import.meta.url.endsWith('.ts')
const FOLDER = fileURLToPath(new URL(IS_BUILT ? './pages/' : './browser/', import.meta.url))

/** The pages: their path, and the folder of their modules, of which `main` is the first. */
const PAGES = [
  { path: '/', folder: 'chat', title: 'Chat · petals-node', description: 'Talk with a model that a swarm computes' },
  { path: '/swarm', folder: 'swarm', title: 'Swarm · petals-node', description: 'Who serves which blocks of a model' },
] as const

const compress = promisify(gzip)

/**
 * The files of the web pages, by the path under which they are asked for. The table is made once, of what lies in the
 * pages' own folder and of named libraries: what a request asks for is only ever looked up in it.
 */
export class PageFiles {
  readonly #sources: ReadonlyMap<string, Source>
  readonly #files = new Map<string, Promise<PageFile>>()

  constructor() {
    this.#sources = new Map([...ownSources(), ...(IS_BUILT ? [] : vendorSources()), ...documentSources()])
  }

  /** All paths, each beginning with a slash. */
  get paths(): readonly string[] {
    return [...this.#sources.keys()]
  }

  /** The file at a path; undefined if there is none. */
  async get(path: string): Promise<PageFile | undefined> {
    const source = this.#sources.get(path)
    if (source === undefined) return undefined
    const known = this.#files.get(path)
    if (known !== undefined) return known
    const file = read(source)
    this.#files.set(path, file)
    // A file that could not be read may be readable next time.
    file.catch(() => this.#files.delete(path))
    return file
  }
}

async function read(source: Source): Promise<PageFile> {
  const { text, contentType, policy } = await source()
  const body = Buffer.from(text)
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
  return { contentType, etag, body, gzipped: await compress(body), policy }
}

/** The files of the folder. In a checkout modules are TypeScript, and become JavaScript on the way. */
function ownSources(): [path: string, source: Source][] {
  return ownFiles().map(({ name, file }) => [
    `/pages/${name}`,
    async () => {
      const text = await readFile(join(FOLDER, file), 'utf8')
      return { text: file.endsWith('.ts') ? browserModule(text) : text, contentType: CONTENT_TYPES[extname(name)]! }
    },
  ])
}

function vendorSources(): [path: string, source: Source][] {
  return VENDOR_FILES.map((vendor) => [
    `/pages/vendor/${vendor.path}`,
    async () => ({
      // The maps that it names are not served.
      text: (await readFile(installedFile(vendor), 'utf8')).replace(/^\/\/# sourceMappingURL=.*$/m, ''),
      contentType: CONTENT_TYPES['.js']!,
    }),
  ])
}

function documentSources(): [path: string, source: Source][] {
  const modules = ownFiles().flatMap(({ name }) => (name.endsWith('.js') ? [name] : []))
  const imports = Object.fromEntries(VENDOR_FILES.map(({ specifier, path }) => [specifier, `./pages/vendor/${path}`]))
  return PAGES.map(({ path, folder, ...page }) => {
    const parts: PageParts = {
      ...page,
      imports,
      entry: `./pages/${folder}/main.js`,
      styles: ['base', folder].map((name) => `./pages/styles/${name}.css`),
      early: './pages/early.js',
      preloads: modules
        .filter((name) => name.startsWith(`${folder}/`) || name.startsWith('shared/'))
        .map((name) => `./pages/${name}`),
    }
    return [path, async () => ({ ...documentOf(parts), contentType: 'text/html; charset=utf-8' })]
  })
}

function documentOf(parts: PageParts): { readonly text: string; readonly policy: string } {
  const { html, policy } = pageDocument(parts)
  return { text: html, policy }
}

/** A file of the pages' own: under which name it is served, and which file it is, both relative with slashes. */
interface OwnFile {
  readonly name: string
  readonly file: string
}

function ownFiles(): OwnFile[] {
  return readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll(sep, '/'))
    .filter((file) => !file.endsWith('.d.ts'))
    .map((file) => ({ file, name: file.replace(/\.ts$/, '.js') }))
    .filter(({ name }) => extname(name) in CONTENT_TYPES)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

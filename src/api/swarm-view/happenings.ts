import { spanText } from '../../base/span.ts'
import type { Happening, ModelSnapshot, ServerName, ServerSnapshot } from './snapshot.ts'

/** What is told of one model, without when and of which. */
export type News = Happening extends infer H ? (H extends Happening ? Omit<H, 'at' | 'model'> : never) : never

/** What has happened to a model's servers between two looks at them. */
export function newsBetween(before: ModelSnapshot, after: ModelSnapshot): News[] {
  const old = new Map(before.servers.map((server) => [server.peerId, server]))
  const now = new Set(after.servers.map(({ peerId }) => peerId))
  const gone = before.servers.filter(({ peerId }) => !now.has(peerId))
  return [
    // One that had vanished is told of once.
    ...gone.filter(({ answers }) => answers).map((server) => named('left', server)),
    ...after.servers.flatMap((server) => newsOf(old.get(server.peerId), server)),
    ...coverNews(before.missing, after.missing),
  ]
}

function newsOf(before: ServerSnapshot | undefined, after: ServerSnapshot): News[] {
  if (before === undefined) return [named('joined', after)]
  const server = nameOf(after)
  const [from, blocks] = [spanOf(before), spanOf(after)]
  const news: News[] = []
  if (before.answers && !after.answers) news.push(named('vanished', after))
  if (!before.answers && after.answers) news.push(named('returned', after))
  if (from !== blocks) news.push({ kind: 'moved', server, from, blocks })
  if (before.state !== after.state) news.push({ kind: 'state', server, state: after.state })
  return news
}

function coverNews(before: readonly string[], after: readonly string[]): News[] {
  if (before.join() === after.join()) return []
  if (after.length > 0) return [{ kind: 'uncovered', blocks: after.join(', ') }]
  return [{ kind: 'covered', blocks: before.join(', ') }]
}

function named(kind: 'joined' | 'left' | 'vanished' | 'returned', server: ServerSnapshot): News {
  return { kind, server: nameOf(server), blocks: spanOf(server) }
}

function nameOf({ peerId, name }: ServerSnapshot): ServerName {
  return { peerId, name }
}

function spanOf({ start, end }: ServerSnapshot): string {
  return spanText([start, end])
}

/** How many happenings are kept: more would hardly be read. */
const MAX_HAPPENINGS = 60

/** The latest of what has happened. */
export class HappeningLog {
  #latest: readonly Happening[] = []

  /** The latest first. */
  get latest(): readonly Happening[] {
    return this.#latest
  }

  add(model: string, news: readonly News[], at = Date.now()): void {
    const happenings = news.map((each) => ({ at, model, ...each }) as Happening)
    this.#latest = [...happenings.toReversed(), ...this.#latest].slice(0, MAX_HAPPENINGS)
  }
}

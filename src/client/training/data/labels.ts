import { UsageError } from '../../../base/errors.ts'
import type { Example } from './dataset.ts'
import { type RawLabel, refused } from './records.ts'

/** A label where it stands. */
export interface PlacedLabel {
  readonly where: string
  readonly label: RawLabel
}

/**
 * Turns labels into numbers. Texts get the number of their place in `names`, which by default are all that occur, in
 * alphabetical order. Throws `DATASET_RECORD` for a label of another kind than the first one, and for a name that is not
 * among `names`.
 */
export function resolveLabels(
  found: readonly PlacedLabel[],
  names: readonly string[] | undefined,
): { readonly labels: NonNullable<Example['label']>[]; readonly names: readonly string[] | undefined } {
  const texts = found.map(({ label }) => label).filter((label) => typeof label === 'string')
  const known = names ?? (texts.length === 0 ? undefined : [...new Set(texts)].sort())
  if (new Set(known).size !== (known?.length ?? 0)) throw new UsageError(`labels ${known}: each name may be there once`)
  const first = found[0]?.label
  const labels = found.map(({ where, label }) => {
    if (kindOf(label) !== kindOf(first))
      throw refused(
        where,
        `label ${JSON.stringify(label)}`,
        `the first one is ${JSON.stringify(first)}, of another kind`,
      )
    if (typeof label !== 'string') return label
    const number = known!.indexOf(label)
    if (number < 0) throw refused(where, `label ${JSON.stringify(label)}`, `known are ${known!.join(', ')}`)
    return number
  })
  return { labels, names: known }
}

function kindOf(label: RawLabel | undefined): string {
  return Array.isArray(label) ? `a list of ${label.length}` : typeof label
}

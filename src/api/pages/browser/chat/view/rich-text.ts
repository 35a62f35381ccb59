import type { VNode } from 'preact'
import { useRef } from 'preact/hooks'
import { html } from '../../shared/html.ts'
import { memo } from '../../shared/memo.ts'
import { languagesLoaded } from './highlight.ts'
import { renderBlock } from './markdown.ts'
import { BlockReader, type TextBlock } from './text-blocks.ts'

interface RichTextProps {
  readonly text: string
  /** Whether more of it is on its way. */
  readonly isComing: boolean
}

/** Markdown, drawn block by block: while a text grows only its last block is drawn again. */
export const RichText = memo(({ text, isComing }: RichTextProps): VNode => {
  const reader = useRef<BlockReader>(null)
  reader.current ??= new BlockReader()
  const blocks = reader.current.read(text, !isComing)
  const loaded = languagesLoaded.value
  return html`<div class="text">
    ${blocks.map((block, i) => html`<${Block} key=${i} source=${block.source} loaded=${loaded} block=${block} />`)}
    ${isComing && html`<span class="cursor" aria-hidden="true"></span>`}
  </div>`
})

interface BlockProps {
  readonly source: string
  readonly loaded: number
  readonly block: TextBlock
}

/** A block is another object at each parse, and looks the same as long as its source is the same. */
const Block = memo(
  ({ block }: BlockProps): VNode =>
    html`<div class="block" dir="auto" dangerouslySetInnerHTML=${{ __html: renderBlock(block) }}></div>`,
  ['source', 'loaded'],
)

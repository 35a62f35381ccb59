import type { VNode } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { html } from '../../shared/html.ts'
import { Icon } from '../../shared/icons.ts'
import { answering } from '../model/answering.ts'
import { shownMessages, versionsOf } from '../model/conversation.ts'
import { current } from '../model/state.ts'
import { copyText } from './copy-text.ts'
import { Message } from './message.ts'
import { Welcome } from './welcome.ts'

/** How far from its end a thread may be scrolled, and still follow what comes. */
const NEAR_END_PX = 80

/** The messages of the conversation. It follows an answer as it grows, unless the reader has scrolled away. */
export function Thread(): VNode {
  const conversation = current.value
  const messages = shownMessages(conversation)
  const isBusy = answering.value.has(conversation.id)
  const ref = useRef<HTMLDivElement>(null)
  const follows = useRef(true)
  const [isAway, setAway] = useState(false)
  const toEnd = (behavior: ScrollBehavior): void => ref.current?.scrollTo({ top: ref.current.scrollHeight, behavior })
  const onScroll = (): void => {
    const { scrollHeight, scrollTop, clientHeight } = ref.current!
    follows.current = scrollHeight - scrollTop - clientHeight < NEAR_END_PX
    setAway(!follows.current)
  }
  // A new question, or another conversation, is shown at its end.
  useEffect(() => {
    follows.current = true
    toEnd('instant')
  }, [conversation.id, messages.length])
  useLayoutEffect(() => {
    if (follows.current) toEnd('instant')
  })
  if (messages.length === 0) return html`<div class="thread"><${Welcome} /></div>`
  return html`<div class="thread" ref=${ref} onScroll=${onScroll} onClick=${copyCode} tabindex="-1">
      <ol class="messages" role="log" aria-label="Conversation" aria-busy=${isBusy}>
        ${messages.map((message, i) => {
          const versions = versionsOf(conversation, message)
          return html`<${Message}
            key=${message.id}
            message=${message}
            version=${versions.indexOf(message)}
            numVersions=${versions.length}
            isLast=${i === messages.length - 1}
            isBusy=${isBusy}
          />`
        })}
      </ol>
    </div>
    ${
      isAway &&
      html`<button type="button" class="to-end" aria-label="To the latest message" onClick=${() => toEnd('smooth')}>
        <${Icon} name="down" />
      </button>`
    }`
}

/** The buttons of code blocks are part of the text's HTML; their clicks arrive here. */
function copyCode(event: MouseEvent): void {
  const button = (event.target as Element).closest<HTMLButtonElement>('.copy-code')
  const code = button?.closest('.code')?.querySelector('code')?.textContent
  if (button === null || code === undefined || code === null) return
  void copyText(code).then((isCopied) => {
    button.textContent = isCopied ? 'Copied' : 'Not copied'
    setTimeout(() => (button.textContent = 'Copy'), 1500)
  })
}

import type { VNode } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { html } from '../../shared/html.ts'
import { Icon } from '../../shared/icons.ts'
import { answering, send, stop } from '../model/answering.ts'
import { shownMessages } from '../model/conversation.ts'
import { current, drafts } from '../model/state.ts'
import { edited } from './edited.ts'

/** Where the next message is typed. It grows with what is in it. */
export function Composer(): VNode {
  const { id } = current.value
  const isBusy = answering.value.has(id)
  const [text, setText] = useState(drafts.get(id) ?? '')
  const ref = useRef<HTMLTextAreaElement>(null)
  useLayoutEffect(() => setText(drafts.get(id) ?? ''), [id])
  useLayoutEffect(() => {
    const { style } = ref.current!
    style.height = 'auto'
    style.height = `${ref.current!.scrollHeight}px`
  }, [text])
  const take = (typed: string): void => {
    drafts.set(id, typed)
    setText(typed)
  }
  const submit = (): void => {
    if (text.trim() === '' || isBusy) return
    take('')
    send(text.trim(), shownMessages(current.value).at(-1)?.id ?? null)
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault()
      submit()
    } else if (event.key === 'ArrowUp' && text === '' && !isBusy) {
      const last = shownMessages(current.value).findLast(({ role }) => role === 'user')
      if (last === undefined) return
      event.preventDefault()
      edited.value = last.id
    }
  }
  const onSubmit = (event: Event): void => {
    event.preventDefault()
    submit()
  }
  return html`<form class="composer" onSubmit=${onSubmit}>
    <div class="composer-box">
      <textarea
        id="composer"
        ref=${ref}
        rows="1"
        dir="auto"
        value=${text}
        aria-label="Message"
        placeholder="Write a message"
        enterkeyhint="send"
        autofocus
        onInput=${(event: Event) => take((event.currentTarget as HTMLTextAreaElement).value)}
        onKeyDown=${onKeyDown}
      ></textarea>
      ${
        isBusy
          ? html`<button type="button" class="round stop" aria-label="Stop" title="Stop (Esc)" onClick=${stop}>
              <span class="square"></span>
            </button>`
          : html`<button
              type="submit"
              class="round"
              aria-label="Send"
              title="Send (Enter)"
              disabled=${text.trim() === ''}
            >
              <${Icon} name="send" />
            </button>`
      }
    </div>
  </form>`
}

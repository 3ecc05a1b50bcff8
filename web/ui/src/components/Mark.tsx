/** Mark is fairlead's sign: a line that runs true once it has passed the eye of the lead. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg className="mark" width={size} height={size} viewBox="0 0 32 32" fill="none" strokeLinecap="round" aria-hidden="true">
      <path className="mark-line" strokeWidth="2.6" d="M1.5 19.5c2.2-6.5 4.2-6.5 6.2-1.8s3.9 2.3 5.3-1.7H30.5" />
      <path className="mark-ring" strokeWidth="3.2" d="M21.6 10.2a8.2 8.2 0 1 0 0 11.6" />
      <path className="mark-ring" strokeWidth="3.2" d="M24 13.2v-.01M24 18.8v-.01" />
    </svg>
  );
}
